/** A member on a simulated computer, its callers, and the checks after each restart. */
import { etcdserverpb } from '@etcd-ts/api'
import type { Backend, BufferedBackendOptions } from '@etcd-ts/backend'
import { Counters, Member, type ServerConfig, silentLogger } from '@etcd-ts/server'
import {
  type KvCall,
  KvGenerator,
  KvHistory,
  SeededRandom,
  type SimFaults,
  SimHost,
  type SimProcess,
  show,
} from '@etcd-ts/testkit'
import { alone } from './alone.ts'
import {
  RunningMember,
  askKv,
  checkStorage,
  configOf,
  countAlarms,
  observe,
  withoutGuesses,
} from './running-member.ts'

const DATA_DIR = '/data'

const maintenance = etcdserverpb.MaintenanceService
const { AlarmAction } = etcdserverpb

export interface SimulationOptions {
  /** Instead of what the seed would choose. */
  readonly flags?: readonly string[]
  readonly walSegmentBytes?: number
  readonly callers?: number
  readonly paceMs?: number
  /** Bugs, planted to see that the checks find them. */
  readonly plant?: Plant
}

export interface Plant {
  readonly faults?: SimFaults
  /** Changes the backend that the member is given. */
  readonly backend?: (backend: Backend) => void
}

export interface LifeOptions {
  /** How many calls are made before the life is over. */
  readonly calls: number
  /** How long the life goes on after that. */
  readonly restMs?: number
  /** The process dies in the middle of this call to the outside. */
  readonly dieAtCall?: number
  /** The member is stopped in good order after so much time, unless the process has died. */
  readonly stopAfterMs?: number
  readonly faults?: SimFaults
  /** The process goes on for a while after the member has given up, and stops it, as a program that embeds one does. */
  readonly lingers?: boolean
}

/** How long callers wait between calls, at most. */
const PACES_MS = [3, 3, 30, 300, 3000]
/** How long a program lingers that was told that its member has given up. */
const LINGER_MS = 1000

/** A member on its computer, through all its lives. A seed decides everything that the options do not. */
export class Simulation {
  readonly host: SimHost
  readonly history = new KvHistory()
  readonly random: SeededRandom
  /** What the member gave up with, in any of its lives. */
  readonly gaveUp: unknown[] = []
  readonly #plant: Plant
  readonly #walDir: string
  readonly #walSegmentBytes: number
  readonly #config: ServerConfig
  readonly #generator: KvGenerator
  readonly #callers: number
  readonly #paceMs: number
  #process: SimProcess | undefined

  constructor(seed: number, options: SimulationOptions = {}) {
    const random = new SeededRandom(seed)
    this.random = random
    this.#plant = options.plant ?? {}
    this.host = new SimHost(random.fork())
    this.#generator = new KvGenerator(random.fork())
    const callers = random.between(1, 6)
    const paceMs = random.pick(PACES_MS)
    const walSegmentBytes = random.pick([2000, 10_000, 64_000_000])
    this.#callers = options.callers ?? callers
    this.#paceMs = options.paceMs ?? paceMs
    this.#walSegmentBytes = options.walSegmentBytes ?? walSegmentBytes
    this.#walDir = random.chance(0.3) ? '/log/wal' : `${DATA_DIR}/member/wal`
    this.#config = configOf([
      `--data-dir=${DATA_DIR}`,
      `--wal-dir=${this.#walDir}`,
      `--snapshot-count=${random.between(5, 40)}`,
      `--snapshot-catchup-entries=${random.between(1, 20)}`,
      `--max-snapshots=${random.between(1, 5)}`,
      `--max-wals=${random.between(1, 5)}`,
      `--backend-batch-interval=${random.pick([1, 20, 100])}ms`,
      `--backend-batch-limit=${random.pick([1, 10, 10_000])}`,
      `--compaction-batch-limit=${random.pick([1, 5, 1000])}`,
      `--compaction-sleep-interval=${random.pick([1, 10])}ms`,
      ...(options.flags ?? []),
    ])
  }

  /**
   * Starts the member, compares what it holds to what was acknowledged in earlier lives, and has it called until the life is
   * over one way or the other; the process is still there afterwards, dead or alive.
   *
   * @returns the member, or undefined when it is dead
   */
  async live(options: LifeOptions): Promise<RunningMember | undefined> {
    const { calls, restMs = 0, dieAtCall = Infinity, stopAfterMs = Infinity, lingers = false } = options
    const { clock } = this.host
    await clock.advance(this.random.between(1, 2000))
    if (this.random.chance(0.1)) clock.stepWall(this.random.between(-3_600_000, 3_600_000))
    const process = this.host.start((call) => options.faults?.(call) ?? this.#plant.faults?.(call))
    this.#process = process
    process.dieAtCall(dieAtCall)
    let running: RunningMember | undefined
    let stopped: Promise<void> | undefined
    const stop = (): void => {
      stopped ??= running?.stop()
      stopped?.catch(() => undefined) // it is awaited below, but may fail before that
    }
    const fatal = (error: unknown): void => {
      this.host.note(`fatal ${String(error)}`)
      this.gaveUp.push(error)
      if (running === undefined || !lingers) {
        process.die()
        return
      }
      running.hasGivenUp = true
      process.clock.setTimer(LINGER_MS, stop)
    }
    const opening = this.#open(process, fatal).catch((error: unknown) => {
      // A start that fails without a reason is what these simulations look for.
      if (options.faults === undefined) throw error
      fatal(error)
      return undefined
    })
    const member = await this.host.settle(opening)
    if (member === undefined) return undefined
    checkStorage(process, this.#walDir)
    running = new RunningMember(process, member)
    if (stopAfterMs < Infinity) process.clock.setTimer(stopAfterMs, stop)
    await this.host.settle(unlessGivenUp(running, member.run()))
    const observed = await this.host.settle(observe(running))
    if (observed !== undefined) {
      this.history.settle(observed)
      this.host.note(`revision ${observed.revision}, hash ${observed.hash}`)
      await this.host.settle(this.#callAll(running, calls))
      await this.host.clock.advance(restMs)
    }
    if (stopped !== undefined) await this.host.settle(unlessGivenUp(running, stopped))
    return running.isOver ? undefined : running
  }

  /** How many calls to the outside the member has made in this life. */
  get calls(): number {
    return this.#process?.calls ?? 0
  }

  /** Three lives that end badly and two that do not, with everything checked at the start of each. */
  async surviveCrashes(): Promise<void> {
    for (let crash = 0; crash < 3; crash++) {
      await this.live({
        calls: 150,
        dieAtCall: this.random.between(1, 500),
        stopAfterMs: this.random.chance(0.2) ? this.random.below(500) : Infinity,
      })
      this.host.end(this.random.chance(0.7) ? 'powerLoss' : 'kill')
      this.mustNotHaveGivenUp()
    }
    await this.live({ calls: 40, stopAfterMs: 60_000 })
    this.host.end('kill')
    await this.live({ calls: 0 })
    this.host.end('kill')
    this.mustNotHaveGivenUp()
  }

  mustNotHaveGivenUp(): void {
    if (this.gaveUp.length > 0) throw new Error('the member gave up', { cause: this.gaveUp[0] })
  }

  #open(process: SimProcess, fatal: (error: unknown) => void): Promise<Member> {
    return Member.open(this.#config, {
      ...alone,
      disk: process.disk,
      clock: process.clock,
      random: process.random,
      logger: silentLogger,
      metrics: new Counters(false),
      walSegmentBytes: this.#walSegmentBytes,
      openBackend: (options: BufferedBackendOptions) => {
        const backend = process.openBackend(options)
        this.#plant.backend?.(backend)
        return backend
      },
      fatal: (error) => {
        if (process.isAlive) fatal(error)
      },
    })
  }

  async #callAll(running: RunningMember, calls: number): Promise<void> {
    let left = calls
    const pause = (): Promise<boolean> => this.host.clock.sleep(this.random.below(this.#paceMs))
    const goOn = async (): Promise<boolean> => {
      await pause()
      return !running.isOver && left > 0
    }
    const caller = async (): Promise<void> => {
      while (await goOn()) {
        left--
        await this.#callKv(running, withoutGuesses(this.#generator.next(this.history)))
      }
    }
    const operator = async (): Promise<void> => {
      for (let isAlarmed = false; (await goOn()) || isAlarmed;) {
        if (running.isOver) return
        for (let i = 0; i < 5; i++) await pause()
        if (isAlarmed || this.random.chance(0.1)) {
          isAlarmed = !isAlarmed
          this.history.alarmBegins()
          const alarms = await countAlarms(running, isAlarmed ? AlarmAction.ACTIVATE : AlarmAction.DEACTIVATE)
          if (alarms === undefined) return
          this.history.alarmEnded(isAlarmed)
        } else {
          const method = this.random.pick([maintenance.Defragment, maintenance.HashKV, maintenance.Status])
          await running.call(method.path, new Uint8Array(0))
        }
      }
    }
    await Promise.all([...Array.from({ length: this.#callers }, caller), operator()])
  }

  async #callKv(running: RunningMember, call: KvCall): Promise<void> {
    const recorded = this.history.begin(call)
    const answer = await askKv(running, call)
    if (answer === undefined) return
    this.history.answered(recorded, answer)
    this.host.note(`${show(call)} ${show(answer)}`)
  }
}

/** Who has given up may have nothing left to begin, or to end in good order. */
async function unlessGivenUp(running: RunningMember, work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!running.hasGivenUp) throw error
  }
}
