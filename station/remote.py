"""`station run --json`: commands in on stdin, events out on stdout, one JSON object a line. Nothing else is printed.

Ids are lower-case hex. A command may carry any `"id"`; every event it causes repeats it. Commands run side by side and
share the sockets; a device takes the first free socket of its chip family.

Commands

    {"do": "provision", "auth_id": H, "count": N}   N devices. Waits up to "wait" (60) seconds for the work order.
                                                    "sockets": ["a0", …] uses only these. "force": true asks EdgeHSM
                                                    even where the work order has ended, so that its gate says no.
    {"do": "retry_same", "auth_id": H}              one device whose first answer is lost: it asks again with the same
                                                    key and must get the same DAC (`repeated`, `same_dac`)
    {"do": "other_key", "auth_id": H}               the last good unit comes back with another key: must be refused
    {"do": "fault", "auth_id": H, "kind": K}        one device with K = power_cut | flipped_frame | silence
    {"do": "rework", "auth_id": H}                  re-opens debug of the last good unit (or "uid": H), closes it, has it
                                                    re-attested; "reason" and "operator" go into the record
    {"do": "records"}                               asks the Factory Service whether this run's leaves are in the cloud
    {"do": "orders"}                                names the work orders there are
    {"do": "quit"}                                  ends when what runs has ended; so does the end of stdin

Events

    {"event": "ready", "station": ID, "factory": ID, "sockets": {"a0": "generic-wifi", …}}
    {"event": "order", "auth_id": H, "product": TEXT, "soc": S, "quantity": N, "edgehsm": ID}   verified, firmware here
    {"event": "order_refused", "auth_id": H, "reason": WORD, "what": TEXT, "where": TEXT}
    {"event": "order_ended", "auth_id": H}
    {"event": "link", "peer": "edgehsm" | "factory", "up": BOOL}
    {"event": "device", "auth_id": H, "uid": H, "soc": S, "socket": "a0", "result": R, "reason": WORD | "",
     "what": TEXT, "duration_ms": N, "log_index": N | null, "outcome_index": N | null, "evidence": WORD | "",
     "repeated": BOOL, "dac_digest": H | "", "serial": H | "", "trips": N}
        R: PASS; FAIL (the unit); REFUSED (EdgeHSM's gate said `reason`); HELD (no answer yet: the unit stays on the bench
        and its journal goes on from there)
    {"event": "rework", "auth_id": H, "uid": H, "result": "PASS" | "FAIL" | "REFUSED", "reason": WORD | "", "what": TEXT,
     "session_id": H, "opened_index": N | null, "closed_index": N | null}
    {"event": "records", "buffered_size": N, "cosigned_size": N, "asked": N, "in_cloud": N}
    {"event": "done", "do": NAME, "counts": {"PASS": N, …}, "seconds": X}      once a command, after its other events
    {"event": "error", "do": NAME, "reason": WORD, "what": TEXT, "next_step": TEXT}   instead of done
    {"event": "end", "counts": {"PASS": N, …}, "reasons": {WORD: N, …}, "messages": N, "steps": N}   the last line
"""
