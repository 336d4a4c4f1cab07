// `npm run bench [-- options]`: real etcd (if installed) and this project's server side by side: the same flags, the
// same disk, the same load, rounds interleaved so that both meet the same machine.
//
//   --rounds N      rounds per load (default 3; the median round counts)
//   --seconds S     about how long one round of one load takes (default 3)
//   --only TEXT     loads whose name contains TEXT
//   --cluster       also three members of each: Put, linearizable Range, time without a leader
//   --cluster-only  these alone
//   --big           also the store of 1 M keys: memory, start-up, ranges
//   --readme        put the table into README.md, between its bench markers
//
// Needs h2load (Debian: nghttp2-client). Writes benchmarks/results/latest.json and chart.svg.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
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
    cluster: { type: 'boolean', default: false },
    'cluster-only': { type: 'boolean', default: false },
    big: { type: 'boolean', default: false },
    readme: { type: 'boolean', default: false },
  },
})
const rounds = Number(options.rounds)
const seconds = Number(options.seconds)

await setup()
// These use the built packages.
const { etcdserverpb } = await import('@etcd-ts/api')
const { ClusterServer, Server, isInstalled } = await import('./servers.mjs')
const { clusterLoadsOf, loadsOf, measure, percentile, put, removeBodies, value } = await import('./loads.mjs')

/** Kills of a leader that the median is taken of. */
const LEADERS_LOST = 7

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

/** How long a cluster acknowledges nothing after its leader was killed. */
async function measureWithoutLeader(clusters) {
  const times = Object.fromEntries(clusters.map((cluster) => [cluster.name, []]))
  for (let i = 0; i < LEADERS_LOST; i++) {
    for (const cluster of clusters) {
      process.stderr.write(`leader of ${cluster.name} killed ...\n`)
      times[cluster.name].push(await cluster.loseLeader(put))
    }
  }
  return Object.fromEntries(
    Object.entries(times).map(([name, each]) => {
      const sorted = each.sort((a, b) => a - b)
      return [name, { medianMs: percentile(sorted, 0.5), worstMs: sorted.at(-1), kills: sorted.length }]
    }),
  )
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
/** Everything that was started, to be ended whatever happens. */
const started = []
try {
  if (!options['cluster-only']) {
    started.push(...servers)
    for (const server of servers) {
      await server.start()
      const client = server.client()
      await client.unary('/etcdserverpb.KV/Put', put)
      client.close()
      await fill(server, 'bench/page/', 500)
    }
    report.loads.push(...(await measure(servers, loadsOf(options.only), { rounds, seconds })))
    for (const server of servers) await server.stop()
  }
  if (options.cluster || options['cluster-only']) {
    const clusters = servers.map((server) => new ClusterServer(server.name, server.command))
    started.push(...clusters)
    for (const cluster of clusters) {
      await cluster.start()
      const client = cluster.client()
      await client.unary('/etcdserverpb.KV/Put', put)
      client.close()
    }
    report.loads.push(...(await measure(clusters, clusterLoadsOf(options.only), { rounds, seconds })))
    report.withoutLeader = await measureWithoutLeader(clusters)
    for (const cluster of clusters) await cluster.stop()
  }
  if (options.big) {
    const big = servers.map((server) => new Server(server.name, server.command))
    started.push(...big)
    report.big = await measureBig(big)
  }
} finally {
  for (const server of started) {
    for (const member of server.members) {
      member.stopping = true
      member.child?.kill('SIGKILL')
    }
    server.remove()
  }
  removeBodies()
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
