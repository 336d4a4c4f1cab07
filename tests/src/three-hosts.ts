/**
 * Hosts on one machine: network namespaces with an address, a default route and an /etc/hosts of their own, joined by
 * a switch that is a fourth namespace, so that nothing of it meets the machine's own network. Needs root and iproute2.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, delimiter } from 'node:path'
import { OutputLog, type Scope, findProgram, freeAfter, makeTempDir } from '@etcd-ts/testkit'

const PREFIX = 'etcd-ts-net'
const ADDRESSES = '10.213.7.'

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** How a program ended, and what it printed. */
export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** What `makeHosts` needs and this machine does not have, or undefined. */
export function missingForHosts(): string | undefined {
  const ip = findProgram('ip')
  if (ip === undefined) return 'ip (iproute2)'
  if (process.getuid?.() !== 0) return 'the right to make network namespaces (root)'
  try {
    const name = `${PREFIX}-${process.pid}-probe`
    execFileSync(ip, ['netns', 'add', name], { stdio: 'pipe' })
    execFileSync(ip, ['netns', 'del', name], { stdio: 'pipe' })
    return undefined
  } catch {
    return 'the right to make network namespaces'
  }
}

/** Makes one host for each name; all of them go at the end of `scope`. */
export function makeHosts(scope: Scope, names: readonly string[]): Host[] {
  const ip = findProgram('ip') ?? 'ip'
  removeAbandoned(ip)
  const prefix = `${PREFIX}-${process.pid}`
  const hub = `${prefix}-switch`
  addNamespace(scope, ip, hub)
  run(ip, hub, 'link add hub type bridge')
  run(ip, hub, 'link set hub up')
  const table = names.map((name, i) => `${ADDRESSES}${i + 1} ${name}\n`).join('')
  return names.map((name, i) => {
    const namespace = `${prefix}-${name}`
    addNamespace(scope, ip, namespace)
    const port = `port${i + 1}`
    run(ip, hub, `link add ${port} type veth peer name eth0 netns ${namespace}`)
    run(ip, hub, `link set ${port} master hub up`)
    run(ip, namespace, 'link set lo up')
    run(ip, namespace, `addr add ${ADDRESSES}${i + 1}/24 dev eth0`)
    run(ip, namespace, 'link set eth0 up')
    // Nothing is there; but a host with an address for others to use has a default route.
    run(ip, namespace, `route add default via ${ADDRESSES}254`)
    const folder = `/etc/netns/${namespace}` // `ip netns exec` mounts what is in it over /etc
    mkdirSync(folder, { recursive: true })
    freeAfter(scope, () => rmSync(folder, { recursive: true, force: true }))
    writeFileSync(`${folder}/hosts`, `127.0.0.1 localhost\n${table}`)
    return new Host({ ip, name, namespace, hub, port, folder: makeTempDir(scope, name) })
  })
}

function run(ip: string, namespace: string, words: string): void {
  execFileSync(ip, ['-n', namespace, ...words.split(' ')], { stdio: 'pipe' })
}

function addNamespace(scope: Scope, ip: string, name: string): void {
  execFileSync(ip, ['netns', 'add', name], { stdio: 'pipe' })
  freeAfter(scope, () => {
    execFileSync(ip, ['netns', 'del', name], { stdio: 'pipe' })
  })
}

/** Removes what test runs left behind that were killed. */
function removeAbandoned(ip: string): void {
  const list = execFileSync(ip, ['netns', 'list'], { encoding: 'utf8' })
  for (const [, name = '', pid = ''] of list.matchAll(new RegExp(`^(${PREFIX}-(\\d+)-\\S+)`, 'gm'))) {
    try {
      process.kill(Number(pid), 0)
    } catch {
      execFileSync(ip, ['netns', 'del', name], { stdio: 'pipe' })
      rmSync(`/etc/netns/${name}`, { recursive: true, force: true })
    }
  }
}

interface Place {
  readonly ip: string
  readonly name: string
  readonly namespace: string
  readonly hub: string
  /** The switch's end of the host's cable. */
  readonly port: string
  /** The working directory of its programs. */
  readonly folder: string
}

/** One host. */
export class Host {
  readonly name: string
  readonly #place: Place

  constructor(place: Place) {
    this.name = place.name
    this.#place = place
  }

  /** Starts a command that goes on, found in `folder` before the rest of PATH; it is killed at the end of `scope`. */
  start(scope: Scope, folder: string, words: readonly string[]): HostProgram {
    const { ip, namespace } = this.#place
    const child = spawn(ip, ['netns', 'exec', namespace, ...words], {
      cwd: this.#place.folder,
      env: environment(folder),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const program = new HostProgram(child)
    freeAfter(scope, () => program.kill())
    return program
  }

  /** Runs a command to its end. */
  run(folder: string, words: readonly string[]): Promise<Finished> {
    const { ip, namespace } = this.#place
    const options = { cwd: this.#place.folder, env: environment(folder), timeout: 30_000 }
    return new Promise((resolve) => {
      const child = execFile(ip, ['netns', 'exec', namespace, ...words], options, (_, stdout, stderr) => {
        running.delete(child)
        resolve({ code: child.exitCode, stdout, stderr })
      })
      running.add(child)
    })
  }

  /** Pulls the cable. */
  unplug(): void {
    run(this.#place.ip, this.#place.hub, `link set ${this.#place.port} down`)
  }

  plug(): void {
    run(this.#place.ip, this.#place.hub, `link set ${this.#place.port} up`)
  }
}

/** A program that runs on a host. */
export class HostProgram {
  readonly log = new OutputLog()
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>

  constructor(child: ChildProcess) {
    this.#child = child
    this.#ended = once(child, 'close')
    running.add(child)
    for (const stream of [child.stdout, child.stderr]) if (stream !== null) this.log.follow(stream)
    child.once('close', (code, signal) => {
      running.delete(child)
      this.log.end(`the program ended (${signal === null ? `exit code ${code}` : signal})`)
    })
  }

  /** SIGKILL, and waits until it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }
}

/** PATH alone, with `folder` and Node first. */
function environment(folder: string): Record<string, string> {
  return { PATH: [folder, dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter) }
}
