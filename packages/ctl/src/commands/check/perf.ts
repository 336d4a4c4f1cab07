import type { Command, Invocation } from '../../cli/command.ts'
import { ExitCode, ExitError } from '../../exit.ts'
import type { Io } from '../../io.ts'
import { openSession } from '../../session.ts'
import { checkFlags, connectMany, loadOf, refuseUsedPrefix, tidy } from './common.ts'
import { Progress } from './progress.ts'
import { runLoad, type LoadReport } from './load.ts'

interface Load {
  readonly writesPerSecond: number
  readonly clients: number
}

const SECONDS = 60
const KEY_BYTES = 256
const VALUE_BYTES = 1024

const loads = {
  s: { writesPerSecond: 150, clients: 50 },
  m: { writesPerSecond: 1_000, clients: 200 },
  l: { writesPerSecond: 8_000, clients: 500 },
  xl: { writesPerSecond: 15_000, clients: 1_000 },
} as const satisfies Record<string, Load>

/** What a cluster must reach. */
const THROUGHPUT_MIN = 0.9
const SLOWEST_MAX_SECONDS = 0.5
const DEVIATION_MAX_SECONDS = 0.1

export const perf: Command = {
  name: 'perf',
  use: 'perf [options]',
  short: 'Checks throughput and latency with 60 seconds of writes',
  flags: checkFlags('/etcdctl-check-perf/', 'writes a second: s 150, m 1000, l 8000, xl 15000'),
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const { flags, io } = invocation
  const load: Load = loadOf(loads, flags)
  const prefix = flags.text('prefix')
  const session = await openSession(invocation)
  const clients = await connectMany(session, load.clients)
  await refuseUsedPrefix(clients[0]!, prefix)
  const progress = new Progress(io, SECONDS)
  const report = await runLoad(clients, {
    prefix,
    keyBytes: KEY_BYTES,
    valueBytes: VALUE_BYTES,
    writesPerSecond: load.writesPerSecond,
    seconds: SECONDS,
    onTick: (seconds) => progress.show(Math.floor(seconds)),
  })
  progress.finish()
  await tidy(clients[0]!, prefix, flags, io)
  if (!judge(report, load, io)) {
    io.out('FAIL\n')
    throw new ExitError(ExitCode.Error, '')
  }
  io.out('PASS\n')
}

/** Prints what the load has shown. @returns whether it is good enough */
function judge(report: LoadReport, { writesPerSecond }: Load, io: Io): boolean {
  const verdicts: boolean[] = [report.errors.size === 0]
  const say = (good: boolean, pass: string, failure: string): void => {
    verdicts.push(good)
    io.out(good ? `PASS: ${pass}\n` : `FAIL: ${failure}\n`)
  }
  if (report.errors.size > 0) io.out('FAIL: too many errors\n')
  for (const [text, count] of report.errors) io.out(`FAIL: ERROR(${text}) -> ${count}\n`)
  const writes = Math.floor(report.writesPerSecond) + 1
  say(
    report.writesPerSecond > THROUGHPUT_MIN * writesPerSecond,
    `Throughput is ${writes} writes/s`,
    `Throughput too low: ${writes} writes/s`,
  )
  const slowest = `${report.slowestSeconds.toFixed(6)}s`
  say(
    report.slowestSeconds <= SLOWEST_MAX_SECONDS,
    `Slowest request took ${slowest}`,
    `Slowest request took too long: ${slowest}`,
  )
  const deviation = `${report.deviationSeconds.toFixed(6)}s`
  say(
    report.deviationSeconds <= DEVIATION_MAX_SECONDS,
    `Stddev is ${deviation}`,
    `Stddev too high: ${deviation}`,
  )
  return verdicts.every(Boolean)
}
