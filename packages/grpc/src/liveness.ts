import type { Socket } from 'node:net'
import type { Limits } from './limits.ts'

/** When a quiet connection is tested with a ping. */
export interface KeepaliveProbe {
  /** Quiet time after which a ping is sent. */
  readonly intervalMs: number
  /** Time for the peer to answer it (or to send anything else) before the connection is closed. */
  readonly timeoutMs: number
  /** Whether to ping while no stream is open. */
  readonly withoutStreams: boolean
}

/** What a look at a connection tells its owner to do. */
export type Verdict = 'fine' | 'ping' | 'no handshake' | 'no ping answer' | 'stalled'

/** Judges whether a connection's peer is there, reads and writes. It is looked at now and then, and has no timer. */
export class Liveness {
  /** Set by whoever reads bytes from the peer. */
  heard = false
  readonly #limits: Limits
  readonly #probe: KeepaliveProbe | undefined
  readonly #openedAtMs = performance.now()
  #heardAtMs = this.#openedAtMs
  #pingSentAtMs = 0
  /** Bytes that the kernel had taken when that number last changed, or when nothing was left to take. */
  #takenBytes = 0
  #takenAtMs = this.#openedAtMs

  constructor(limits: Limits, probe: KeepaliveProbe | undefined) {
    this.#limits = limits
    this.#probe = probe
  }

  look(nowMs: number, socket: Socket, handshaken: boolean, hasStreams: boolean): Verdict {
    if (!handshaken) {
      return nowMs - this.#openedAtMs >= this.#limits.handshakeTimeoutMs ? 'no handshake' : 'fine'
    }
    if (this.#isStalled(nowMs, socket)) return 'stalled'
    if (this.heard) {
      this.heard = false
      this.#heardAtMs = nowMs
      this.#pingSentAtMs = 0
      return 'fine'
    }
    const probe = this.#probe
    if (probe === undefined) return 'fine'
    if (this.#pingSentAtMs > 0)
      return nowMs - this.#pingSentAtMs >= probe.timeoutMs ? 'no ping answer' : 'fine'
    if (nowMs - this.#heardAtMs < probe.intervalMs || !(hasStreams || probe.withoutStreams)) return 'fine'
    this.#pingSentAtMs = nowMs
    return 'ping'
  }

  #isStalled(nowMs: number, socket: Socket): boolean {
    const waiting = socket.writableLength
    const taken = socket.bytesWritten - waiting
    if (waiting > 0 && taken === this.#takenBytes)
      return nowMs - this.#takenAtMs >= this.#limits.stallTimeoutMs
    this.#takenBytes = taken
    this.#takenAtMs = nowMs
    return false
  }
}
