import { type ChildProcess, spawn } from 'node:child_process'
import type { FaultInjector } from './fault-injector.ts'
import { OutputLog } from './output-log.ts'
import { reservePort } from './ports.ts'
import { type ServerProgram, ourServer } from './programs.ts'
import { type Scope, freeAfter } from './scope.ts'
import { makeTempDir } from './temp-dir.ts'

/** How a server process ended. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ServerOptions {
  /** Default: `ourServer()`. */
  readonly program?: ServerProgram
  /** Default: `m1`. */
  readonly name?: string
  /** Added after the flags that every server gets (name, data directory, URLs, cluster). */
  readonly flags?: readonly string[]
  /** Added to an environment that holds PATH and HOME only. */
  readonly env?: Readonly<Record<string, string>>
  /** Default: a fresh directory, removed at the end. */
  readonly dataDir?: string
  /** Default: fresh ports. */
  readonly ports?: { readonly client: number; readonly peer: number }
  /** Errors and delays of the file system to inject; for programs that run in Node. */
  readonly faults?: FaultInjector
  /** Default: a cluster of its own. */
  readonly cluster?: ClusterSettings
}

/** What a server is told about the cluster that it starts or joins. */
export interface ClusterSettings {
  /** `name=url` of every member, joined by commas. */
  readonly initialCluster: string
  /** Default: `new`. */
  readonly state?: 'new' | 'existing'
  readonly token?: string
  /** Default: where the server listens. */
  readonly advertisePeerUrl?: string
}

const live = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of live) child.kill('SIGKILL')
})

/**
 * A server in a process of its own, alone unless it is told of a cluster, which may be stopped, killed, frozen and started again on the same
 * ports and data directory. An exit that nobody asked for fails the test at the end of its scope, with the last log lines.
 */
export class ServerProcess {
  /** What later starts run; a test may change it while the server is down. */
  program: ServerProgram
  readonly name: string
  readonly dataDir: string
  readonly clientPort: number
  readonly peerPort: number
  /** Both output streams of all starts so far. */
  readonly log = new OutputLog()
  /** Flags for later starts; a test may change them while the server is down. */
  flags: readonly string[]
  /** Likewise. */
  cluster: ClusterSettings | undefined
  readonly #env: Record<string, string>
  #child: ChildProcess | undefined
  #exited: Promise<Exit> | undefined
  #exitExpected = false
  #startLine = 0
  #crash: string | undefined

  private constructor(options: ServerOptions, dataDir: string, ports: { client: number; peer: number }) {
    this.program = options.program ?? ourServer()
    this.name = options.name ?? 'm1'
    this.dataDir = dataDir
    this.clientPort = ports.client
    this.peerPort = ports.peer
    this.flags = options.flags ?? []
    this.cluster = options.cluster
    this.#env = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', ...options.env }
    if (options.faults !== undefined) {
      Object.assign(this.#env, options.faults.environment(this.#env['NODE_OPTIONS']))
    }
  }

  /** Makes a server that is not running yet; it is killed at the end of `scope`. */
  static async create(scope: Scope, options: ServerOptions = {}): Promise<ServerProcess> {
    const dataDir = options.dataDir ?? makeTempDir(scope, 'data')
    const ports = options.ports ?? { client: await reservePort(scope), peer: await reservePort(scope) }
    const server = new ServerProcess(options, dataDir, ports)
    freeAfter(scope, async () => {
      await server.kill()
      if (server.#crash !== undefined) throw new Error(server.#crash)
    })
    return server
  }

  /** Makes a server and waits until it answers clients. */
  static async start(scope: Scope, options: ServerOptions = {}): Promise<ServerProcess> {
    const server = await ServerProcess.create(scope, options)
    await server.start()
    return server
  }

  get clientUrl(): string {
    return `http://127.0.0.1:${this.clientPort}`
  }

  get peerUrl(): string {
    return `http://127.0.0.1:${this.peerPort}`
  }

  /** `host:port` of the client listener. */
  get endpoint(): string {
    return `127.0.0.1:${this.clientPort}`
  }

  get running(): boolean {
    return this.#child !== undefined
  }

  /** The process id while it runs. */
  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error(`${this.program.title} is not running`)
    return this.#child.pid
  }

  /** Every argument after the program's own words. */
  arguments(): string[] {
    const cluster = this.cluster ?? { initialCluster: `${this.name}=${this.peerUrl}` }
    const urls = {
      'listen-client-urls': this.clientUrl,
      'advertise-client-urls': this.clientUrl,
      'listen-peer-urls': this.peerUrl,
      'initial-advertise-peer-urls': cluster.advertisePeerUrl ?? this.peerUrl,
    }
    const common = {
      name: this.name,
      'data-dir': this.dataDir,
      ...urls,
      'initial-cluster': cluster.initialCluster,
      'initial-cluster-state': cluster.state ?? 'new',
      'initial-cluster-token': cluster.token ?? 'etcd-ts-test',
      logger: 'zap',
      'log-outputs': 'stderr',
    }
    return [...Object.entries(common).map(([flag, value]) => `--${flag}=${value}`), ...this.flags]
  }

  /** Starts the process and waits until it answers clients. */
  async start(timeoutMs = 60_000): Promise<void> {
    this.spawn()
    await this.log.waitFor(this.program.readyLine, { from: this.#startLine, timeoutMs })
  }

  /** Starts the process and does not wait, for starts that are meant to fail: `exit` then tells how. */
  spawn(): void {
    if (this.#child !== undefined) throw new Error(`${this.program.title} is running already`)
    const [command, ...words] = this.program.command
    this.#exitExpected = false
    this.#startLine = this.log.lines.length
    this.log.reopen()
    const child = spawn(command ?? '', [...words, ...this.arguments()], {
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    live.add(child)
    this.log.follow(child.stdout)
    this.log.follow(child.stderr)
    this.#exited = new Promise((resolve) => {
      // 'close' comes after the last line of output has been read.
      child.on('error', (error) => this.#ended(child, { code: null, signal: null }, error.message, resolve))
      child.on('close', (code, signal) => this.#ended(child, { code, signal }, undefined, resolve))
    })
  }

  /** Waits for the process to end by itself, which is then not a crash. */
  async exit(timeoutMs = 30_000): Promise<Exit> {
    this.#exitExpected = true
    this.#crash = undefined
    if (this.#exited === undefined) throw new Error(`${this.program.title} was never started`)
    let timer: NodeJS.Timeout | undefined
    const timedOut = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(
          new Error(
            `${this.program.title} did not end within ${timeoutMs} ms; last lines:\n${this.log.tail()}`,
          ),
        )
      }, timeoutMs)
    })
    try {
      return await Promise.race([this.#exited, timedOut])
    } finally {
      clearTimeout(timer)
    }
  }

  /** From now on an end of this run is not a crash. */
  expectExit(): void {
    this.#exitExpected = true
  }

  /** SIGKILL, and waits until the process is gone. Does nothing when it is not running. */
  async kill(): Promise<void> {
    if (this.#child === undefined) return
    this.#exitExpected = true
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  /** SIGTERM, and waits until the process has shut down. */
  async stop(timeoutMs = 30_000): Promise<Exit> {
    this.#exitExpected = true
    this.signal('SIGTERM')
    return this.exit(timeoutMs)
  }

  /** SIGSTOP: the process stands still, its sockets stay open. */
  pause(): void {
    this.signal('SIGSTOP')
  }

  /** SIGCONT. */
  resume(): void {
    this.signal('SIGCONT')
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal)
  }

  /** Stops (SIGTERM) when running, and starts again on the same ports and data. */
  async restart(): Promise<void> {
    if (this.running) await this.stop()
    await this.start()
  }

  /** Lines logged since the last start. */
  linesOfThisRun(): readonly string[] {
    return this.log.lines.slice(this.#startLine)
  }

  #ended(child: ChildProcess, exit: Exit, failure: string | undefined, resolve: (exit: Exit) => void): void {
    if (this.#child !== child) return
    live.delete(child)
    this.#child = undefined
    const how = failure ?? (exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`)
    this.log.end(`the process ended (${how})`)
    if (!this.#exitExpected) {
      this.#crash = `${this.program.title} ended unexpectedly (${how}); last lines:\n${this.log.tail(40)}`
    }
    resolve(exit)
  }
}
