import type { Clock } from '@etcd-ts/platform'

/** A clock for tests on which nobody waits: whoever sleeps makes the time pass, and `onSleep` may change the world meanwhile. */
export class SteppingClock implements Clock {
  nowMs: number
  onSleep: (delayMs: number) => void = () => undefined

  constructor(nowMs = 1_000_000) {
    this.nowMs = nowMs
  }

  wallMs(): number {
    return this.nowMs
  }

  monotonicMs(): number {
    return this.nowMs
  }

  setTimer(): { cancel(): void } {
    return { cancel: () => undefined }
  }

  soon(run: () => void): void {
    setImmediate(run)
  }

  async sleep(delayMs: number, signal?: AbortSignal): Promise<boolean> {
    const isOver = (): boolean => signal?.aborted === true
    if (isOver()) return false
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
    this.nowMs += delayMs
    this.onSleep(delayMs)
    return !isOver()
  }
}
