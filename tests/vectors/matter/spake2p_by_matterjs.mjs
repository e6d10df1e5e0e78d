// Checks spake2p.json with matter.js: every verifier is made again. See README.md.
import { readFileSync } from "node:fs";
import { Bytes, NodeJsStyleCrypto, Spake2p } from "@matter/general";
import * as nodeCrypto from "node:crypto";

const crypto = new NodeJsStyleCrypto(nodeCrypto);
const rows = JSON.parse(readFileSync(process.argv[2], "utf8"));
for (const row of rows) {
    const parameters = { iterations: row.iterations, salt: Bytes.fromHex(row.salt) };
    const { w0, L } = await Spake2p.computeW0L(crypto, parameters, row.passcode);
    const made = w0.toString(16).padStart(64, "0") + Bytes.toHex(L);
    if (made !== row.verifier) {
        console.log("differs", row, made);
        process.exitCode = 1;
    }
}
console.log(`${rows.length} rows compared`);
