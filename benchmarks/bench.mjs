// `npm run bench [-- options]`: real etcd (if installed) and this project's server side by side: the same flags, the
// same disk, the same load, rounds interleaved so that both meet the same machine.
//
//   --rounds N      rounds per load (default 3; the median round counts)
//   --seconds S     about how long one round of one load takes (default 3)
//   --only TEXT     loads whose name contains TEXT
//   --big           also the store of 1 M keys: memory, start-up, ranges
//   --readme        put the table into README.md, between its bench markers
//
// Needs h2load (Debian: nghttp2-client). Writes benchmarks/results/latest.json and chart.svg.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root, setup } from '../scripts/setup.mjs'
import { chartOf } from './chart.mjs'
import { tableOf } from './table.mjs'

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    big: { type: 'boolean', default: false },
    readme: { type: 'boolean', default: false },
  },
})
const rounds = Number(options.rounds)
const seconds = Number(options.seconds)

await setup()
const { etcdserverpb } = await import('@etcd-ts/api')
const { GrpcClient } = await import('@etcd-ts/grpc')
const { connect } = await import('node:net')

const CLOCK_TICKS_PER_SECOND = 100
const PAGE_BYTES = 4096

function isInstalled(command) {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** A running server of one kind, with its data in a folder of its own. */
class Server {
  constructor(name, command) {
    this.name = name
    this.command = command
    this.folder = mkdtempSync(join(tmpdir(), `bench-${name}-`))
  }

  async start() {
    this.port ??= await freePort()
    this.peerPort ??= await freePort()
    const client = `http://127.0.0.1:${this.port}`
    const peer = `http://127.0.0.1:${this.peerPort}`
    const [program, ...before] = this.command
    const began = performance.now()
    this.child = spawn(
      program,
      [
        ...before,
        '--name=bench',
        `--data-dir=${join(this.folder, 'data')}`,
        `--listen-client-urls=${client}`,
        `--advertise-client-urls=${client}`,
        `--listen-peer-urls=${peer}`,
        `--initial-advertise-peer-urls=${peer}`,
        `--initial-cluster=bench=${peer}`,
        '--log-outputs=stderr',
        '--log-level=error',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    let log = ''
    this.child.stderr.on('data', (chunk) => (log += chunk))
    this.child.on('exit', (code) => {
      if (!this.stopping) throw new Error(`${this.name} exited with ${code}:\n${log}`)
    })
    while (!(await this.isHealthy())) await new Promise((resolve) => setTimeout(resolve, 5))
    return (performance.now() - began) / 1000
  }

  async isHealthy() {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.port}/health`)
      return (await answer.json()).health === 'true'
    } catch {
      return false
    }
  }

  async stop() {
    this.stopping = true
    const ended = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.kill('SIGTERM')
    await ended
    this.stopping = false
  }

  /** Seconds of processor time used so far. */
  cpuSeconds() {
    const fields = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8').split(') ')[1].split(' ')
    return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND
  }

  residentBytes() {
    return Number(readFileSync(`/proc/${this.child.pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES
  }

  client() {
    return new GrpcClient({
      connect: () => connect(this.port, '127.0.0.1'),
      authority: `127.0.0.1:${this.port}`,
      maxRecvMessageBytes: 2 ** 31 - 1,
    })
  }

  remove() {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

const bodies = mkdtempSync(join(tmpdir(), 'bench-bodies-'))

function body(name, message) {
  const path = join(bodies, name)
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  writeFileSync(path, Buffer.concat([prefix, message]))
  return path
}

const value = Buffer.alloc(256, 'v')
const key = Buffer.from('bench/key')
const pages = { from: Buffer.from('bench/page/'), to: Buffer.from('bench/page0') }
const put = etcdserverpb.PutRequest.encode({ key, value })
const calls = {
  put: { path: '/etcdserverpb.KV/Put', body: body('put', put) },
  serializable: {
    path: '/etcdserverpb.KV/Range',
    body: body('serializable', etcdserverpb.RangeRequest.encode({ key, serializable: true })),
  },
  linearizable: {
    path: '/etcdserverpb.KV/Range',
    body: body('linearizable', etcdserverpb.RangeRequest.encode({ key })),
  },
  page: {
    path: '/etcdserverpb.KV/Range',
    body: body(
      'page',
      etcdserverpb.RangeRequest.encode({ key: pages.from, rangeEnd: pages.to, serializable: true }),
    ),
  },
  txn: {
    path: '/etcdserverpb.KV/Txn',
    body: body(
      'txn',
      etcdserverpb.TxnRequest.encode({
        compare: [
          {
            key,
            target: etcdserverpb.CompareTarget.CREATE,
            result: etcdserverpb.CompareResult.GREATER,
            targetUnion: { case: 'createRevision', value: 0n },
          },
        ],
        success: [
          { request: { case: 'requestPut', value: { key, value } } },
          { request: { case: 'requestRange', value: { key } } },
        ],
      }),
    ),
  },
}

const flights = [
  { inFlight: 1, connections: 1, streams: 1 },
  { inFlight: 100, connections: 10, streams: 10 },
  { inFlight: 1000, connections: 50, streams: 20 },
]

const loads = [
  ...flights.map((flight) => ({ name: 'Put', ...flight, parts: [calls.put] })),
  ...flights.map((flight) => ({ name: 'Range, serializable', ...flight, parts: [calls.serializable] })),
  ...flights.map((flight) => ({ name: 'Range, linearizable', ...flight, parts: [calls.linearizable] })),
  { name: 'Range of 500 keys', ...flights[0], parts: [calls.page] },
  { name: 'Range of 500 keys', ...flights[1], parts: [calls.page] },
  ...flights.map((flight) => ({ name: 'Txn (compare, put, get)', ...flight, parts: [calls.txn] })),
  { name: 'Mixed (Put and Range)', ...flights[1], parts: [calls.put, calls.linearizable] },
].filter((load) => load.name.includes(options.only))

function percentile(sorted, fraction) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))]
}

/** Runs h2load once; resolves to counts and the duration of every call in microseconds. */
async function h2load(server, call, load, count) {
  const log = join(bodies, `log-${Math.random()}`)
  const child = spawn(
    'h2load',
    [
      '-n',
      String(count),
      '-c',
      String(load.connections),
      '-m',
      String(load.streams),
      '-H',
      'content-type: application/grpc',
      '-H',
      'te: trailers',
      '-d',
      call.body,
      `--log-file=${log}`,
      `http://127.0.0.1:${server.port}${call.path}`,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  await new Promise((resolve) => child.once('exit', resolve))
  const succeeded = Number(/(\d+) succeeded/.exec(output)?.[1] ?? 0)
  if (succeeded !== count) throw new Error(`h2load against ${server.name}: ${output}`)
  const rate = Number(/finished in [^,]*, ([\d.]+) req\/s/.exec(output)[1])
  const times = readFileSync(log, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => Number(line.split('\t')[2]))
  rmSync(log)
  return { rate, times }
}

/** One round of one load on one server. */
async function round(server, load, counts) {
  const cpuBefore = server.cpuSeconds()
  const results = await Promise.all(
    load.parts.map((call, index) => h2load(server, call, load, counts[index])),
  )
  const total = counts.reduce((sum, count) => sum + count, 0)
  const times = results.flatMap((result) => result.times).sort((a, b) => a - b)
  return {
    rate: results.reduce((sum, result) => sum + result.rate, 0),
    meanUs: times.reduce((sum, time) => sum + time, 0) / times.length,
    p99Us: percentile(times, 0.99),
    cpuUsPerCall: ((server.cpuSeconds() - cpuBefore) * 1e6) / total,
    residentBytes: server.residentBytes(),
  }
}

function median(results, field) {
  return results.map((result) => result[field]).sort((a, b) => a - b)[Math.floor(results.length / 2)]
}

function summary(results) {
  return Object.fromEntries(Object.keys(results[0]).map((field) => [field, median(results, field)]))
}

async function fill(server, prefix, count) {
  const client = server.client()
  const perTxn = 100
  const inFlight = 8
  let next = 0
  const work = async () => {
    while (next < count) {
      const from = next
      next += perTxn
      const success = []
      for (let i = from; i < Math.min(from + perTxn, count); i++) {
        const name = Buffer.from(`${prefix}${String(i).padStart(8, '0')}`)
        success.push({ request: { case: 'requestPut', value: { key: name, value } } })
      }
      await client.unary('/etcdserverpb.KV/Txn', etcdserverpb.TxnRequest.encode({ success }))
    }
  }
  await Promise.all(Array.from({ length: inFlight }, work))
  client.close()
}

async function timedRange(server, request, repeats) {
  const client = server.client()
  const bytes = etcdserverpb.RangeRequest.encode(request)
  const times = []
  for (let i = 0; i < repeats; i++) {
    const began = performance.now()
    await client.unary('/etcdserverpb.KV/Range', bytes)
    times.push(performance.now() - began)
  }
  client.close()
  return percentile(
    times.sort((a, b) => a - b),
    0.5,
  )
}

async function measureBig(servers) {
  const keys = 1_000_000
  const results = {}
  for (const server of servers) {
    process.stderr.write(`1 M keys: ${server.name} ...\n`)
    await server.start()
    const began = performance.now()
    await fill(server, 'big/', keys)
    const fillSeconds = (performance.now() - began) / 1000
    const residentFilled = server.residentBytes()
    await server.stop()
    const startSeconds = await server.start()
    const residentStarted = server.residentBytes()
    const countMs = await timedRange(
      server,
      { key: Buffer.from('big/'), rangeEnd: Buffer.from('big0'), countOnly: true },
      5,
    )
    const pageMs = await timedRange(
      server,
      { key: Buffer.from('big/00500000'), rangeEnd: Buffer.from('big0'), limit: 1000n, serializable: true },
      50,
    )
    const residentAfterReads = server.residentBytes()
    await server.stop()
    results[server.name] = {
      fillSeconds,
      residentFilled,
      startSeconds,
      residentStarted,
      countMs,
      pageMs,
      residentAfterReads,
    }
  }
  return results
}

if (!isInstalled('h2load')) {
  process.stderr.write('npm run bench needs h2load (Debian: apt-get install nghttp2-client)\n')
  process.exit(1)
}
const ours = new Server('etcd-ts', [process.execPath, join(root, 'bin', 'etcd')])
const theirs = isInstalled('etcd') ? new Server('etcd', ['etcd']) : undefined
if (theirs === undefined) process.stderr.write('real etcd is not installed: measuring etcd-ts alone\n')
const servers = theirs === undefined ? [ours] : [theirs, ours]
const report = {
  date: new Date().toISOString().slice(0, 10),
  machine: `${cpus()[0].model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`,
  etcd:
    theirs === undefined
      ? undefined
      : execFileSync('etcd', ['--version'], { encoding: 'utf8' }).split('\n')[0],
  loads: [],
}
try {
  for (const server of servers) {
    await server.start()
    const client = server.client()
    await client.unary('/etcdserverpb.KV/Put', put)
    client.close()
    await fill(server, 'bench/page/', 500)
  }
  for (const load of loads) {
    process.stderr.write(`${load.name}, ${load.inFlight} in flight ...\n`)
    const rows = Object.fromEntries(servers.map((server) => [server.name, []]))
    const counts = {}
    for (const server of servers) {
      // A short round warms up and tells how many calls fill the wanted time.
      const trial = Math.max(200, load.inFlight * 5)
      await round(
        server,
        load,
        load.parts.map(() => trial),
      )
      const { rate } = await round(
        server,
        load,
        load.parts.map(() => trial * 5),
      )
      counts[server.name] = load.parts.map(() =>
        Math.max(load.inFlight, Math.round((rate * seconds) / load.parts.length)),
      )
    }
    for (let i = 0; i < rounds; i++) {
      for (const server of servers) rows[server.name].push(await round(server, load, counts[server.name]))
    }
    report.loads.push({
      name: load.name,
      inFlight: load.inFlight,
      results: Object.fromEntries(servers.map((server) => [server.name, summary(rows[server.name])])),
    })
  }
  for (const server of servers) await server.stop()
  if (options.big) {
    const big = servers.map((server) => new Server(server.name, server.command))
    servers.push(...big)
    report.big = await measureBig(big)
  }
} finally {
  for (const server of servers) {
    server.stopping = true
    server.child?.kill('SIGKILL')
    server.remove()
  }
  rmSync(bodies, { recursive: true, force: true })
}

const results = join(root, 'benchmarks', 'results')
if (!existsSync(results)) mkdirSync(results)
writeFileSync(join(results, 'latest.json'), `${JSON.stringify(report, null, 2)}\n`)
writeFileSync(join(results, 'chart.svg'), chartOf(report))
const table = tableOf(report)
process.stdout.write(`${table}\n`)
if (options.readme) {
  const path = join(root, 'README.md')
  const text = readFileSync(path, 'utf8')
  writeFileSync(path, text.replace(/(<!-- bench -->\n)[\s\S]*(<!-- \/bench -->)/, `$1${table}\n$2`))
}
