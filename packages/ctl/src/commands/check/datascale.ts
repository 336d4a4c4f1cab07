import type { Command, Invocation } from '../../cli/command.ts'
import { ExitCode, ExitError } from '../../exit.ts'
import { openSession } from '../../session.ts'
import { checkFlags, connectMany, loadOf, refuseUsedPrefix, tidy } from './common.ts'
import { residentBytes } from './metrics.ts'
import { Progress } from './progress.ts'
import { runLoad } from './load.ts'

interface Load {
  readonly pairs: number
  readonly clients: number
}

const KEY_BYTES = 512
const VALUE_BYTES = 512

const loads = {
  s: { pairs: 10_000, clients: 50 },
  m: { pairs: 100_000, clients: 100 },
  l: { pairs: 1_000_000, clients: 200 },
  xl: { pairs: 3_000_000, clients: 500 },
} as const satisfies Record<string, Load>

export const datascale: Command = {
  name: 'datascale',
  use: 'datascale [options]',
  short: 'Measures the memory that an endpoint needs for a number of keys',
  long: [
    'Writes keys and compares the resident memory of the first endpoint, which its /metrics show, before and',
    'after. The keys are deleted in the end.',
  ].join('\n'),
  flags: checkFlags('/etcdctl-check-datascale/', 'keys of 1 kB: s 10000, m 100000, l 1000000, xl 3000000'),
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const { flags, io } = invocation
  const load: Load = loadOf(loads, flags)
  const prefix = flags.text('prefix')
  const session = await openSession(invocation)
  const clients = await connectMany(session, load.clients)
  await refuseUsedPrefix(clients[0]!, prefix)
  const memory = async (when: string): Promise<number> => {
    const bytes = await residentBytes(session.endpoints[0]!, session.tls)
    if (bytes !== undefined) return bytes
    io.out(`FAIL: Could not read process_resident_memory_bytes ${when} the put operations.\n`)
    throw new ExitError(ExitCode.Error, '')
  }
  const before = await memory('before')
  const size = `${load.pairs} key-value pairs, ${KEY_BYTES + VALUE_BYTES} bytes per key-value`
  io.out(`Start data scale check for work load [${size}, ${load.clients} concurrent clients].\n`)
  const progress = new Progress(io, load.pairs)
  const report = await runLoad(clients, {
    prefix,
    keyBytes: KEY_BYTES,
    valueBytes: VALUE_BYTES,
    count: load.pairs,
    onTick: (_, writes) => progress.show(writes),
  })
  progress.finish()
  const after = await memory('after')
  await tidy(clients[0]!, prefix, flags, io)
  if (report.errors.size > 0) {
    io.out('FAIL: too many errors\n')
    for (const [text, count] of report.errors) io.out(`FAIL: ERROR(${text}) -> ${count}\n`)
    throw new ExitError(ExitCode.Error, '')
  }
  const used = (after - before) / 1024 / 1024
  io.out(`PASS: Approximate system memory used : ${used.toFixed(2)} MB.\n`)
}
