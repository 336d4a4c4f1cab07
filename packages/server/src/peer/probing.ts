import type { ServerResponse } from 'node:http'
import type { Clock, Timer } from '@etcd-ts/platform'
import type { Logger } from '../log/index.ts'
import type { PeerMetrics } from '../metrics/index.ts'
import { answer } from '../http/answer.ts'
import type { PeerHttp } from './peer-http.ts'
import type { UrlPicker } from './url-picker.ts'

export const PROBING_PATH = '/raft/probing'

const PROBE_INTERVAL_MS = 4000
const PROBE_TIMEOUT_MS = 5000
/** The same fault is logged at most so often. */
const REPORT_INTERVAL_MS = 30_000
const CLOCK_DIFFERENCE_MS_MAX = 1000

/** Answers a probe: this member is there, and this is its time. */
export function answerProbe(response: ServerResponse, clock: Clock): void {
  const wallMs = clock.wallMs()
  // oxlint-disable-next-line no-restricted-globals -- the calendar of a time that the clock gave, not the clock
  const now = new Date(wallMs).toISOString()
  answer(response, 'text/plain; charset=utf-8', `{"OK":true,"Now":"${now}"}\n`)
}

export interface ProberOptions {
  readonly id: string
  readonly picker: UrlPicker
  readonly http: PeerHttp
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: PeerMetrics
}

/** Asks every URL of another member, every few seconds, for the time: it takes that of the way there, and compares. */
export class Prober {
  readonly #options: ProberOptions
  #timer: Timer
  #isStopped = false
  #reportedMs = -Infinity

  constructor(options: ProberOptions) {
    this.#options = options
    this.#timer = this.#arm()
  }

  stop(): void {
    this.#isStopped = true
    this.#timer.cancel()
  }

  #arm(): Timer {
    return this.#options.clock.setTimer(PROBE_INTERVAL_MS, () => {
      this.#timer = this.#arm()
      for (const { url } of this.#options.picker.all) void this.#probe(url)
    })
  }

  async #probe(url: string): Promise<void> {
    const { http, clock, metrics } = this.#options
    const startMs = clock.monotonicMs()
    try {
      const { body } = await http.request({ url: url + PROBING_PATH, timeoutMs: PROBE_TIMEOUT_MS })
      if (this.#isStopped) return
      const roundTripMs = clock.monotonicMs() - startMs
      const theirMs = timeIn(body)
      if (theirMs === undefined) throw new Error('not an answer to a probe')
      metrics.roundTripSeconds.observe(roundTripMs / 1000)
      const differenceMs = clock.wallMs() - roundTripMs / 2 - theirMs
      if (Math.abs(differenceMs) > CLOCK_DIFFERENCE_MS_MAX) {
        this.#report('prober found high clock drift', {
          'clock-drift': `${(differenceMs / 1000).toFixed(3)}s`,
          rtt: `${roundTripMs.toFixed(3)}ms`,
        })
      }
    } catch (error) {
      if (!this.#isStopped) this.#report('prober detected unhealthy status', { url, error })
    }
  }

  #report(message: string, fields: Readonly<Record<string, unknown>>): void {
    const { id, clock, logger } = this.#options
    if (clock.monotonicMs() - this.#reportedMs < REPORT_INTERVAL_MS) return
    this.#reportedMs = clock.monotonicMs()
    logger.warn(message, { 'remote-peer-id': id, ...fields })
  }
}

/** The time in an answer to a probe, in milliseconds since the epoch. */
function timeIn(body: Buffer): number | undefined {
  const [, text = ''] = /^\s*\{"OK":true,"Now":"([^"]{1,64})"\}\s*$/.exec(body.toString('latin1')) ?? []
  // oxlint-disable-next-line no-restricted-globals -- as above
  const wallMs = Date.parse(text.replace(/(\.\d{3})\d+/, '$1'))
  return Number.isNaN(wallMs) ? undefined : wallMs
}
