// What is asked of the servers, and how: h2load sends one call again and again.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { etcdserverpb } from '@etcd-ts/api'

const bodies = mkdtempSync(join(tmpdir(), 'bench-bodies-'))

function body(name, message) {
  const path = join(bodies, name)
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  writeFileSync(path, Buffer.concat([prefix, message]))
  return path
}

export const value = Buffer.alloc(256, 'v')
const key = Buffer.from('bench/key')
const pages = { from: Buffer.from('bench/page/'), to: Buffer.from('bench/page0') }
export const put = etcdserverpb.PutRequest.encode({ key, value })
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

/** @returns the loads of a single member whose names contain `only` */
export const loadsOf = (only) =>
  [
    ...flights.map((flight) => ({ name: 'Put', ...flight, parts: [calls.put] })),
    ...flights.map((flight) => ({ name: 'Range, serializable', ...flight, parts: [calls.serializable] })),
    ...flights.map((flight) => ({ name: 'Range, linearizable', ...flight, parts: [calls.linearizable] })),
    { name: 'Range of 500 keys', ...flights[0], parts: [calls.page] },
    { name: 'Range of 500 keys', ...flights[1], parts: [calls.page] },
    ...flights.map((flight) => ({ name: 'Txn (compare, put, get)', ...flight, parts: [calls.txn] })),
    { name: 'Mixed (Put and Range)', ...flights[1], parts: [calls.put, calls.linearizable] },
  ].filter((load) => load.name.includes(only))

/** @returns the loads of a cluster whose names contain `only` */
export const clusterLoadsOf = (only) =>
  [
    ...flights.map((flight) => ({ name: 'Put, three members', ...flight, parts: [calls.put] })),
    ...flights.map((flight) => ({
      name: 'Range, linearizable, three members',
      ...flight,
      parts: [calls.linearizable],
    })),
  ].filter((load) => load.name.includes(only))

export function percentile(sorted, fraction) {
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

/** Runs the rounds of every load, servers by turns. @returns one row a load */
export async function measure(servers, loads, { rounds, seconds }) {
  const measured = []
  for (const load of loads) {
    process.stderr.write(`${load.name}, ${load.inFlight} in flight ...\n`)
    const rows = Object.fromEntries(servers.map((server) => [server.name, []]))
    const counts = {}
    for (const server of servers) {
      // A short round warms up and tells how many calls fill the wanted time.
      const trial = Math.max(200, load.inFlight * 5)
      const all = (count) => load.parts.map(() => count)
      await round(server, load, all(trial))
      const { rate } = await round(server, load, all(trial * 5))
      counts[server.name] = all(Math.max(load.inFlight, Math.round((rate * seconds) / load.parts.length)))
    }
    for (let i = 0; i < rounds; i++) {
      for (const server of servers) rows[server.name].push(await round(server, load, counts[server.name]))
    }
    measured.push({
      name: load.name,
      inFlight: load.inFlight,
      results: Object.fromEntries(servers.map((server) => [server.name, summary(rows[server.name])])),
    })
  }
  return measured
}

export function removeBodies() {
  rmSync(bodies, { recursive: true, force: true })
}
