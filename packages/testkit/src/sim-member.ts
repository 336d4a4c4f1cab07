import type { Backend, BackendImporter, BufferedBackendOptions } from '@etcd-ts/backend'
import type { Clock, Disk, Random, Timer } from '@etcd-ts/platform'
import type { SeededRandom } from './seeded-random.ts'
import { type SimBackendFault, SimBackendFile, simImporter } from './sim-backend.ts'
import { SimClock } from './sim-clock.ts'
import { SimDisk, type SimDiskFault } from './sim-disk.ts'

/** A call to the outside, of the disk or the backend's data file. */
export interface SimIoCall {
  /** 1 for the first call of this process, the two devices counted together. */
  readonly number: number
  readonly device: 'disk' | 'backend'
  readonly operation: string
  /** Empty for the backend. */
  readonly path: string
}

export type SimIoFault = SimDiskFault | SimBackendFault

/** Asked at each call what goes wrong with it; undefined leaves it to chance how long it takes. */
export type SimFaults = (call: SimIoCall) => SimIoFault | undefined

/** A kill leaves what was written, a loss of power only what was synced and chance. */
export type SimEnd = 'kill' | 'powerLoss'

/** How a process sees time, beside the machine's clock. */
export interface SimTime {
  /** How many milliseconds pass for it in one; 1 unless told. */
  readonly speed?: number
  /** How far its wall clock is ahead. */
  readonly wallOffsetMs?: number
}

export interface SimHostOptions {
  /** Of several hosts together; one of its own unless told. */
  readonly clock?: SimClock
}

/** How long a process may be waited for. */
const WAIT_MS_MAX = 3_600_000

/**
 * A computer on which a member runs, dies and is started again: clock, disk and the backend's data file under one seed.
 *
 * One process runs at a time. What it does between two moments of the clock is decided by the seed alone, so the same seed
 * gives the same `journal`.
 */
export class SimHost {
  readonly clock: SimClock
  /** One line for each call to the outside, and what tests add. */
  readonly journal: string[] = []
  readonly #random: SeededRandom
  #disk: SimDisk
  #backend: SimBackendFile
  #process: SimProcess | undefined

  constructor(random: SeededRandom, { clock = new SimClock() }: SimHostOptions = {}) {
    this.clock = clock
    this.#random = random
    this.#disk = new SimDisk({ clock: this.clock })
    this.#backend = new SimBackendFile({ clock: this.clock })
  }

  /** Whether anything was left by the processes so far. No process may be running. */
  get hasData(): boolean {
    return this.#process === undefined && this.#disk.list('/').length > 0
  }

  /** Starts a process; the one before it must have ended. */
  start(faults: SimFaults = () => undefined, time: SimTime = {}): SimProcess {
    if (this.#process !== undefined) throw new Error('a process is running')
    this.#process = new SimProcess(this, this.#disk, this.#backend, this.#random.fork(), faults, time)
    return this.#process
  }

  /** Ends the process, unless it is dead already, and the machine as well if power is lost. */
  end(how: SimEnd): void {
    const process = this.#process
    if (process === undefined) throw new Error('no process is running')
    process.die()
    this.#disk =
      how === 'kill'
        ? this.#disk.kill()
        : this.#disk.crash(this.#random, { garbage: this.#random.chance(0.5) })
    this.#backend = this.#backend.end(this.#random)
    this.#process = undefined
    this.note(how)
  }

  note(what: string): void {
    this.journal.push(`${this.clock.monotonicMs()} ${what}`)
  }

  /**
   * Lets time pass until `work` has ended or the process is dead.
   *
   * @returns undefined when the process died first
   */
  async settle<T>(work: Promise<T>): Promise<T | undefined> {
    let outcome: { readonly value: T } | { readonly error: unknown } | undefined
    work.then(
      (value) => (outcome = { value }),
      (error: unknown) => (outcome = { error }),
    )
    await this.clock.advance(0)
    const giveUpMs = this.clock.monotonicMs() + WAIT_MS_MAX
    while (outcome === undefined && this.#process?.isAlive === true) {
      const untilNextMs = this.clock.untilNextMs()
      if (untilNextMs === undefined || this.clock.monotonicMs() > giveUpMs) {
        throw new Error('the process hangs: it neither ends its work nor dies')
      }
      await this.clock.advance(untilNextMs)
    }
    if (outcome === undefined) return undefined
    if ('value' in outcome) return outcome.value
    if (this.#process?.isAlive === false) return undefined
    throw outcome.error
  }
}

/** One process on a `SimHost`: the world as it sees it, until it dies. Afterwards nothing it does has any effect. */
export class SimProcess {
  readonly disk: Disk
  readonly clock: Clock
  readonly random: Random
  readonly importBackend: BackendImporter
  /** How many calls to the outside it has made. */
  calls = 0
  readonly #host: SimHost
  readonly #disk: SimDisk
  readonly #backend: SimBackendFile
  readonly #random: SeededRandom
  readonly #faults: SimFaults
  #isAlive = true
  #dieAtCall = Infinity
  #onDeath: (() => void)[] = []
  #isPaused = false
  /** What it will do when it goes on. */
  #held: (() => void)[] = []
  #unwatched = false

  constructor(
    host: SimHost,
    disk: SimDisk,
    backend: SimBackendFile,
    random: SeededRandom,
    faults: SimFaults,
    time: SimTime = {},
  ) {
    this.#host = host
    this.#disk = disk
    this.#backend = backend
    this.#random = random
    this.#faults = faults
    this.disk = disk
    this.random = random.fork()
    this.importBackend = simImporter(disk)
    this.clock = new ProcessClock(host.clock, time, (run) => this.whenAwake(run))
    disk.injectFaults(({ number, operation, path }) => {
      if (this.#unwatched) return undefined
      const call = this.#count('disk', operation, path)
      return call.number >= this.#dieAtCall ? this.#dieInDisk(number) : (this.#faultOf(call) as SimDiskFault)
    })
    backend.injectFaults(({ number, operation }) => {
      const call = this.#count('backend', operation, '')
      return call.number >= this.#dieAtCall
        ? this.#dieInBackend(number)
        : (this.#faultOf(call) as SimBackendFault)
    })
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  openBackend(options: BufferedBackendOptions): Backend {
    return this.#backend.open(options, this.disk)
  }

  /** Lets the process die in the middle of the `call`-th call to the outside, counted from 1. */
  dieAtCall(call: number): void {
    this.#dieAtCall = call
  }

  /** Ends the process between two calls. */
  die(): void {
    if (!this.#isAlive) return
    this.#disk.kill()
    this.#backend.end(this.#random)
    this.#isDead()
  }

  /**
   * Lets the process stand still, as SIGSTOP does: its timers, and what others want of it by `whenAwake`, wait. What it has
   * asked of its disk goes on, and so does what follows from that.
   */
  pause(): void {
    this.#isPaused = true
  }

  /** Lets it go on, with what has waited, in order. */
  resume(): void {
    this.#isPaused = false
    const held = this.#held
    this.#held = []
    for (const run of held) this.#host.clock.soon(() => this.whenAwake(run))
  }

  /** Calls `run` now, or when the process goes on if it stands still; never if it is dead. */
  whenAwake(run: () => void): void {
    if (!this.#isAlive) return
    if (this.#isPaused) this.#held.push(run)
    else run()
  }

  /** Calls `run` when the process dies, or at once if it is dead. */
  onDeath(run: () => void): void {
    if (this.#isAlive) this.#onDeath.push(run)
    else run()
  }

  /** Looks at the machine from outside: calls that `look` makes are not the process's. */
  look<T>(look: (disk: Disk, backend: SimBackendFile) => T): T {
    this.#unwatched = true
    try {
      return look(this.#disk, this.#backend)
    } finally {
      this.#unwatched = false
    }
  }

  #count(device: SimIoCall['device'], operation: string, path: string): SimIoCall {
    this.#host.note(`${device} ${operation} ${path}`)
    return { number: ++this.calls, device, operation, path }
  }

  #faultOf(call: SimIoCall): SimIoFault | undefined {
    return this.#faults(call) ?? this.#latency(call.operation)
  }

  #latency(operation: string): SimIoFault | undefined {
    const isSync = operation === 'datasync' || operation === 'syncDirectory'
    if (!isSync && operation !== 'commit') return undefined
    const random = this.#random
    if (random.chance(0.3)) return undefined
    return { latencyMs: random.chance(0.03) ? random.between(20, 200) : random.below(5) }
  }

  /** The call takes effect, or does not, or (a write) in part. */
  #dieInDisk(number: number): SimDiskFault | undefined {
    this.#backend.end(this.#random)
    this.#isDead()
    if (this.#random.chance(0.5)) {
      this.#disk.crashAtCall(number)
      return undefined
    }
    this.#disk.kill()
    // Nobody is there to see what the error is called.
    return { code: 'EIO', doneBytes: this.#random.chance(0.5) ? 0 : this.#random.below(2000) }
  }

  #dieInBackend(number: number): undefined {
    this.#disk.kill()
    this.#isDead()
    this.#backend.crashAtCall(number)
  }

  #isDead(): void {
    this.#isAlive = false
    for (const run of this.#onDeath) run()
  }
}

/** The host's clock as a process sees it: nothing wakes the dead. */
class ProcessClock implements Clock {
  readonly #clock: Clock
  readonly #speed: number
  readonly #wallOffsetMs: number
  readonly #whenAwake: (run: () => void) => void

  constructor(clock: Clock, { speed = 1, wallOffsetMs = 0 }: SimTime, whenAwake: (run: () => void) => void) {
    this.#clock = clock
    this.#speed = speed
    this.#wallOffsetMs = wallOffsetMs
    this.#whenAwake = whenAwake
  }

  wallMs(): number {
    return this.#clock.wallMs() + this.#wallOffsetMs
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs() * this.#speed
  }

  setTimer(delayMs: number, run: () => void): Timer {
    let isCancelled = false
    const timer = this.#clock.setTimer(delayMs / this.#speed, () => {
      this.#whenAwake(() => {
        if (!isCancelled) run()
      })
    })
    return {
      cancel: () => {
        isCancelled = true
        timer.cancel()
      },
    }
  }

  soon(run: () => void): void {
    this.setTimer(0, run)
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      void this.#clock.sleep(delayMs / this.#speed, signal).then((slept) => {
        this.#whenAwake(() => resolve(slept))
      })
    })
  }
}
