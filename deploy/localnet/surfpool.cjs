// A local Solana chain for development and tests: Surfpool, in this process, on loopback ports.
//
// Prints one line of JSON when it is ready: {"rpcUrl", "wsUrl", "payer", "payerSecretKey"}; the payer is a
// funded account of this throw-away chain. Ends on SIGTERM, SIGINT, or when stdin closes, so a parent that
// was killed leaves nothing behind. Options, as one JSON argument: {"slotTimeMs": 200, "rentPerByte": 5080}.
'use strict';

// The wrapper package is not to be had; the platform package is the add-on itself.
const { Surfnet } = require('@solana/surfpool-linux-x64-gnu');

const RENT_SYSVAR = 'SysvarRent111111111111111111111111111111111';
const SYSVAR_OWNER = 'Sysvar1111111111111111111111111111111111111';
// An account is charged for its data and for this much of bookkeeping.
const ACCOUNT_OVERHEAD_BYTES = 128n;

async function call(url, method, params) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${JSON.stringify(error)}`);
  return result;
}

// Surfpool starts with the rent of years ago; the live rate is a parameter, and whoever reads it must ask.
async function setRent(url, rentPerByte) {
  const rent = Buffer.alloc(17); // u64 lamports per byte, f64 exemption threshold, u8 burn percent
  rent.writeBigUInt64LE(rentPerByte, 0);
  rent.writeDoubleLE(1.0, 8);
  rent[16] = 50;
  await call(url, 'surfnet_setAccount', [
    RENT_SYSVAR,
    { data: rent.toString('hex'), lamports: 1, owner: SYSVAR_OWNER },
  ]);
  const empty = BigInt(await call(url, 'getMinimumBalanceForRentExemption', [0]));
  if (empty !== ACCOUNT_OVERHEAD_BYTES * rentPerByte) {
    throw new Error(`rent of an empty account is ${empty}, not ${ACCOUNT_OVERHEAD_BYTES * rentPerByte}`);
  }
}

async function main() {
  const { slotTimeMs = 200, rentPerByte = 5080 } = JSON.parse(process.argv[2] ?? '{}');
  const surfnet = Surfnet.startWithConfig({ offline: true, blockProductionMode: 'clock', slotTimeMs });
  // It queues an event for each slot and stops for ever when the queue is full: after some five minutes.
  setInterval(() => surfnet.drainEvents(), 1000).unref();
  const stop = () => {
    surfnet.stop();
    process.exit(0);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.stdin.on('end', stop).on('error', stop).resume();
  await setRent(surfnet.rpcUrl, BigInt(rentPerByte));
  process.stdout.write(
    `${JSON.stringify({
      rpcUrl: surfnet.rpcUrl,
      wsUrl: surfnet.wsUrl,
      payer: surfnet.payer,
      payerSecretKey: Buffer.from(surfnet.payerSecretKey).toString('base64'),
    })}\n`,
  );
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
