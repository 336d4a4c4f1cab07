import { formatDuration } from '../../cli/numbers.ts'
import type { Io } from '../../io.ts'

const BAR_WIDTH = 40

/** A line that is written over and over: what is done, of how much, and how long the rest will take. */
export class Progress {
  readonly #io: Io
  readonly #total: number
  readonly #started = performance.now()
  readonly #hasBar = process.stdout.isTTY

  constructor(io: Io, total: number) {
    this.#io = io
    this.#total = total
  }

  show(done: number): void {
    this.#draw(Math.min(done, this.#total), this.#left(done))
  }

  finish(): void {
    const seconds = Math.round((performance.now() - this.#started) / 1000)
    this.#draw(this.#total, formatDuration(BigInt(seconds) * 1_000_000_000n))
    this.#io.out('\n')
  }

  #draw(done: number, time: string): void {
    const share = done / this.#total
    const percent = `${(share * 100).toFixed(2)}%`.padStart(7)
    this.#io.out(`\r ${done} / ${this.#total} ${this.#bar(share)} ${percent} ${time}`)
  }

  #bar(share: number): string {
    if (!this.#hasBar) return ''
    const full = Math.floor(share * BAR_WIDTH)
    return `[${'#'.repeat(full)}${' '.repeat(BAR_WIDTH - full)}]`
  }

  #left(done: number): string {
    if (done === 0) return ''
    const elapsed = (performance.now() - this.#started) / 1000
    const left = Math.max(0, Math.round((elapsed / done) * (this.#total - done)))
    const two = (value: number): string => String(value).padStart(2, '0')
    return `${two(Math.floor(left / 60))}m${two(left % 60)}s`
  }
}
