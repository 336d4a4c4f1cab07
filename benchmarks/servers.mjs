// The servers under measurement: real processes, each with its data in a folder of its own.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { etcdserverpb } from '@etcd-ts/api'
import { GrpcClient } from '@etcd-ts/grpc'

const CLOCK_TICKS_PER_SECOND = 100
const PAGE_BYTES = 4096

export function isInstalled(command) {
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
export class Server {
  constructor(name, command) {
    this.name = name
    this.command = command
    this.folder = mkdtempSync(join(tmpdir(), `bench-${name}-`))
  }

  /** The members whose processes do the work. */
  get members() {
    return [this]
  }

  async choosePorts() {
    this.port ??= await freePort()
    this.peerPort ??= await freePort()
  }

  get peerUrl() {
    return `http://127.0.0.1:${this.peerPort}`
  }

  /** @returns the seconds until it was healthy */
  async start(name = 'bench', initialCluster) {
    await this.choosePorts()
    const client = `http://127.0.0.1:${this.port}`
    const peer = this.peerUrl
    const [program, ...before] = this.command
    const began = performance.now()
    this.child = spawn(
      program,
      [
        ...before,
        `--name=${name}`,
        `--data-dir=${join(this.folder, 'data')}`,
        `--listen-client-urls=${client}`,
        `--advertise-client-urls=${client}`,
        `--listen-peer-urls=${peer}`,
        `--initial-advertise-peer-urls=${peer}`,
        `--initial-cluster=${initialCluster ?? `${name}=${peer}`}`,
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

/** Three members of one kind on this machine; calls go to the leader. */
export class ClusterServer {
  constructor(name, command) {
    this.name = name
    this.members = ['m1', 'm2', 'm3'].map(() => new Server(name, command))
    this.leader = this.members[0]
  }

  get port() {
    return this.leader.port
  }

  async start() {
    for (const member of this.members) await member.choosePorts()
    const began = performance.now()
    await Promise.all(this.members.map((member) => this.startMember(member)))
    await this.findLeader()
    return (performance.now() - began) / 1000
  }

  startMember(member) {
    const cluster = this.members.map(({ peerUrl }, i) => `m${i + 1}=${peerUrl}`).join()
    return member.start(`m${this.members.indexOf(member) + 1}`, cluster)
  }

  async findLeader() {
    for (;;) {
      for (const member of this.members) {
        const status = await statusOf(member).catch(() => undefined)
        if (status !== undefined && status.leader !== 0n && status.header.memberId === status.leader) {
          this.leader = member
          return
        }
      }
    }
  }

  /** Kills the leader. @returns milliseconds until another member has acknowledged a Put */
  async loseLeader(put) {
    const lost = this.leader
    const others = this.members.filter((member) => member !== lost)
    const clients = others.map((member) => member.client())
    await Promise.all(clients.map((client) => client.unary('/etcdserverpb.KV/Put', put)))
    lost.stopping = true
    const ended = new Promise((resolve) => lost.child.once('exit', resolve))
    const began = performance.now()
    lost.child.kill('SIGKILL')
    // A call that is sent too early may be lost with the leader: one every few milliseconds, the first answer counts.
    await new Promise((resolve) => {
      const timer = setInterval(() => {
        for (const client of clients) {
          client.unary('/etcdserverpb.KV/Put', put).then(
            () => {
              clearInterval(timer)
              resolve()
            },
            () => undefined,
          )
        }
      }, 10)
    })
    const took = performance.now() - began
    for (const client of clients) client.close()
    await ended
    lost.stopping = false
    await this.startMember(lost)
    await this.findLeader()
    return took
  }

  cpuSeconds() {
    return this.members.reduce((sum, member) => sum + member.cpuSeconds(), 0)
  }

  residentBytes() {
    return this.members.reduce((sum, member) => sum + member.residentBytes(), 0)
  }

  client() {
    return this.leader.client()
  }

  async stop() {
    await Promise.all(this.members.map((member) => member.stop()))
  }

  remove() {
    for (const member of this.members) member.remove()
  }
}

async function statusOf(server) {
  const client = server.client()
  try {
    const answer = await client.unary('/etcdserverpb.Maintenance/Status', new Uint8Array())
    return etcdserverpb.StatusResponse.decode(answer)
  } finally {
    client.close()
  }
}
