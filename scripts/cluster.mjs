// `npm run cluster [-- OPTIONS]`: install what is missing, build, and run a cluster of several members on this machine.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, relative, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { painter, prefixOf, renderLine } from './cluster-log.mjs'
import { root, setup } from './setup.mjs'

const USAGE = `npm run cluster [-- OPTIONS [-- FLAGS]]

  --members N      how many members, 1 to 6 (default: 3)
  --base-dir DIR   where their data goes (default: cluster.etcd); what is there is used again
  --ports P,P,..   their client ports; each one's peer port is the next
                   (default: 2379,22379,32379,42379,52379,62379)
  --raw            show the log as the members write it, in JSON
  --no-build       run what has been built before
  FLAGS            more flags for every member, such as --snapshot-count 1000

While it runs, type: leader, status, stop N, kill N, start N, quit (or Ctrl-C).
`
const DEFAULT_PORTS = [2379, 22379, 32379, 42379, 52379, 62379]
const STOP_MS = 10_000
const POLL_MS = 100

const paint = painter(process.stdout.isTTY === true && process.env.NO_COLOR === undefined)

function say(text) {
  process.stdout.write(`${paint('1', text)}\n`)
}

function fail(text) {
  process.stderr.write(`${text}\n`)
  process.exit(1)
}

function readOptions(args) {
  let values, positionals
  try {
    const parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        members: { type: 'string' },
        'base-dir': { type: 'string', default: 'cluster.etcd' },
        ports: { type: 'string' },
        raw: { type: 'boolean', default: false },
        'no-build': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    values = parsed.values
    positionals = parsed.positionals
  } catch (error) {
    fail(`${error.message}\n\n${USAGE}`)
  }
  if (values.help) {
    process.stdout.write(USAGE)
    process.exit(0)
  }
  const given = values.ports?.split(',').map(Number)
  const count = Number(values.members ?? given?.length ?? 3)
  const ports = (given ?? DEFAULT_PORTS).slice(0, count)
  const isPort = (port) => Number.isInteger(port) && port > 0 && port < 65535
  if (!(count >= 1) || ports.length !== count) fail('--members: a number from 1 to 6, and a port for each')
  if (!ports.every(isPort)) fail(`--ports ${values.ports}: numbers between 1 and 65534, separated by commas`)
  return {
    ports,
    baseDir: resolve(values['base-dir']),
    raw: values.raw,
    build: !values['no-build'],
    flags: positionals,
  }
}

/** The members' addresses are part of their data: other ports or another number need another directory. */
function openBaseDir({ baseDir, ports }) {
  const file = join(baseDir, 'ports')
  const line = `${ports.join(',')}\n`
  if (existsSync(file)) {
    const before = readFileSync(file, 'utf8')
    if (before !== line) {
      fail(`${shown(baseDir)} holds a cluster with the client ports ${before.trim()}: use --ports ${before.trim()},
another --base-dir, or remove it`)
    }
    return
  }
  mkdirSync(baseDir, { recursive: true })
  writeFileSync(file, line)
}

function shown(path) {
  const short = relative(process.cwd(), path)
  return short.startsWith('..') ? path : short
}

async function checkPorts(ports) {
  for (const port of ports.flatMap((client) => [client, client + 1])) {
    const reason = await new Promise((done) => {
      const server = createServer()
      server.once('error', (error) => done(error.code))
      server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => done(undefined)))
    })
    if (reason === 'EADDRINUSE') {
      fail(
        `port ${port} is in use: stop what listens there, or choose other ports: npm run cluster -- --help`,
      )
    }
    if (reason !== undefined) fail(`port ${port} cannot be used (${reason})`)
  }
}

/** One member and its process. */
class Member {
  constructor(index, options) {
    this.index = index
    this.name = `etcd${index + 1}`
    this.url = `http://127.0.0.1:${options.ports[index]}`
    this.prefix = prefixOf(this.name, index, paint)
    this.options = options
    this.child = undefined
    this.expectsEnd = false
  }

  get running() {
    return this.child !== undefined
  }

  start() {
    const { ports, baseDir, flags } = this.options
    const peerUrl = (i) => `http://127.0.0.1:${ports[i] + 1}`
    const settings = {
      name: this.name,
      'data-dir': join(baseDir, this.name),
      'listen-client-urls': this.url,
      'advertise-client-urls': this.url,
      'listen-peer-urls': peerUrl(this.index),
      'initial-advertise-peer-urls': peerUrl(this.index),
      'initial-cluster': ports.map((_, i) => `etcd${i + 1}=${peerUrl(i)}`).join(','),
      'initial-cluster-token': 'etcd-cluster-1',
      'initial-cluster-state': 'new',
      logger: 'zap',
      'log-outputs': 'stderr',
    }
    const [program, ...words] = process.env.ETCD_TS_SERVER?.split(/\s+/) ?? [
      process.execPath,
      join(root, 'bin', 'etcd'),
    ]
    const args = [
      ...words,
      ...Object.entries(settings).map(([flag, value]) => `--${flag}=${value}`),
      ...flags,
    ]
    this.expectsEnd = false
    // In a process group of its own: Ctrl-C is for this program, which then stops the members.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    this.child = child
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        process.stdout.write(`${this.prefix} ${this.options.raw ? line : renderLine(line, paint)}\n`)
      })
    }
    this.ended = new Promise((done) => {
      child.once('error', (error) => done(error.message))
      child.once('close', (code, signal) => done(signal ?? `exit code ${code}`))
    }).then((how) => {
      this.child = undefined
      if (!this.expectsEnd) say(`${this.name} has ended (${how})`)
    })
  }

  /** Ends it with a signal; after a while without mercy. */
  async end(signal) {
    const { child } = this
    if (child === undefined) return
    this.expectsEnd = true
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await this.ended
    clearTimeout(timer)
  }

  async isHealthy() {
    try {
      const answer = await fetch(`${this.url}/health`, { signal: AbortSignal.timeout(2_000) })
      return (await answer.json()).health === 'true'
    } catch {
      return false // not yet there
    }
  }

  /** Its own id and the leader's, as it sees them; undefined when it does not answer. */
  async status() {
    try {
      const options = { method: 'POST', body: '{}', signal: AbortSignal.timeout(2_000) }
      const { header, leader } = await (await fetch(`${this.url}/v3/maintenance/status`, options)).json()
      return { id: header.member_id, leader }
    } catch {
      return undefined
    }
  }
}

async function sayLeader(members) {
  const statuses = await Promise.all(members.map((member) => member.status()))
  const leader = statuses.find((status) => status?.leader !== undefined)?.leader
  const place = statuses.findIndex((status) => status !== undefined && status.id === leader)
  say(place < 0 ? 'there is no leader' : `${members[place].name} leads`)
}

function sayStatus(members) {
  const endpoints = members.filter((member) => member.running).map((member) => member.url)
  if (endpoints.length === 0) {
    say('no member runs')
    return
  }
  const words = [
    `--endpoints=${endpoints.join(',')}`,
    '--command-timeout=2s',
    'endpoint',
    'status',
    '-w',
    'table',
  ]
  spawnSync(process.execPath, [join(root, 'bin', 'etcdctl'), ...words], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

/** Does what a line typed by the user says. */
async function obey(line, members, quit) {
  const [verb = '', number = ''] = line.trim().split(/\s+/)
  if (verb === '') return
  if (verb === 'quit' || verb === 'exit') await quit()
  else if (verb === 'leader') await sayLeader(members)
  else if (verb === 'status') sayStatus(members)
  else if (['stop', 'kill', 'start'].includes(verb)) await switchMember(verb, number, members)
  else say('commands: leader, status, stop N, kill N, start N, quit')
}

async function switchMember(verb, number, members) {
  const member = members[Number(/^(?:etcd)?(\d+)$/.exec(number)?.[1]) - 1]
  if (member === undefined) say(`${verb}: which member? 1 to ${members.length}`)
  else if (verb === 'start' && !member.running) member.start()
  else if (verb !== 'start' && member.running) {
    await member.end(verb === 'kill' ? 'SIGKILL' : 'SIGTERM')
    say(`${member.name} is down; "start ${member.index + 1}" brings it back`)
  } else say(`${member.name} ${member.running ? 'runs already' : 'does not run'}`)
}

const options = readOptions(process.argv.slice(2))
if (options.build) await setup()
await checkPorts(options.ports)
openBaseDir(options)
const members = options.ports.map((_, index) => new Member(index, options))

let quitting = false
async function quit(exitCode = 0) {
  if (quitting) {
    for (const member of members) member.child?.kill('SIGKILL')
    return
  }
  quitting = true
  say('stopping ...')
  // One after the other: a leader hands over to one who stays, instead of waiting for one who stops, too.
  for (const member of members) await member.end('SIGTERM')
  process.exit(exitCode)
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void quit())
process.on('exit', () => {
  for (const member of members) member.child?.kill('SIGKILL')
})

for (const member of members) member.start()
createInterface({ input: process.stdin }).on('line', (line) => void obey(line, members, quit))

while (!quitting) {
  const failed = members.find((member) => !member.running)
  if (failed !== undefined) {
    say(`${failed.name} could not be started: its last lines above say why`)
    await quit(1)
  }
  const healthy = await Promise.all(members.map((member) => member.isHealthy()))
  if (healthy.every(Boolean)) break
  await sleep(POLL_MS)
}
if (!quitting) {
  const endpoints = options.ports.map((port) => `127.0.0.1:${port}`).join(',')
  const what = members.length === 1 ? 'The member is' : `All ${members.length} members are`
  say(
    `${what} ready; in another shell, type: bin/etcdctl --endpoints=${endpoints} endpoint status --cluster -w table`,
  )
}
