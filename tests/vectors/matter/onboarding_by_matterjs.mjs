// Checks onboarding.json with matter.js: every code is made again from its fields. See README.md.
import { readFileSync } from "node:fs";
import { ManualPairingCodeCodec, QrPairingCodeCodec, DiscoveryCapabilitiesSchema } from "@matter/types";

const rows = JSON.parse(readFileSync(process.argv[2], "utf8"));
for (const row of rows) {
    const fields = {
        version: 0, vendorId: row.vendor_id, productId: row.product_id, flowType: row.flow,
        discoveryCapabilities: row.discovery, discriminator: row.discriminator, passcode: row.passcode,
    };
    const manual = { discriminator: row.discriminator, passcode: row.passcode };
    if (row.flow !== 0) Object.assign(manual, { vendorId: row.vendor_id, productId: row.product_id });
    const made = { qr: QrPairingCodeCodec.encode([fields]), manual: ManualPairingCodeCodec.encode(manual) };
    if (made.qr !== row.qr_code || made.manual !== row.manual_code) {
        console.log("differs", row, made);
        process.exitCode = 1;
    }
}
console.log(`${rows.length} rows compared`);
