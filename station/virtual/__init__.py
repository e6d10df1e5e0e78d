"""Virtual chips, in processes that are never the station's.

Promises: 1. The device key is made inside and no message returns it. 2. It signs a certification request and a
DeviceReport, nothing else. 3. Fuses go one way. 4. What a locked chip refuses, this one refuses. The process is not
dumpable, and what it persists is sealed under a secret that only it was handed.
"""
