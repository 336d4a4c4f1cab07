import type { Readable } from 'node:stream'

interface Waiter {
  readonly pattern: RegExp
  resolve(line: string): void
  reject(error: Error): void
}

/** The lines a process has written, in order of arrival, and a way to wait for one. */
export class OutputLog {
  readonly #lines: string[] = []
  readonly #waiters = new Set<Waiter>()
  #endReason: string | undefined

  /** Every whole line so far. */
  get lines(): readonly string[] {
    return this.#lines
  }

  /** The last `count` lines as one text, for messages. */
  tail(count = 20): string {
    return this.#lines.slice(-count).join('\n')
  }

  /** Takes over what `stream` gives until it ends. */
  follow(stream: Readable): void {
    let rest = ''
    stream.setEncoding('utf8')
    stream.on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n')
      rest = parts.pop() ?? ''
      for (const line of parts) this.#add(line)
    })
    stream.on('end', () => {
      if (rest !== '') this.#add(rest)
    })
  }

  /** The first line at or after index `from` that matches, or undefined. */
  find(pattern: RegExp, from = 0): string | undefined {
    return this.#lines.slice(from).find((line) => pattern.test(line))
  }

  /**
   * Resolves with the first line at or after index `from` that matches, now or later.
   * @throws when the process ends first, or after `timeoutMs`; the message holds the last lines
   */
  waitFor(pattern: RegExp, options: { from?: number; timeoutMs?: number } = {}): Promise<string> {
    const found = this.find(pattern, options.from)
    if (found !== undefined) return Promise.resolve(found)
    return new Promise((resolve, reject) => {
      const fail = (reason: string): void => {
        waiter.reject(new Error(`no line matches ${String(pattern)}: ${reason}; last lines:\n${this.tail()}`))
      }
      const timeoutMs = options.timeoutMs ?? 30_000
      const timer = setTimeout(() => fail(`waited ${timeoutMs} ms`), timeoutMs)
      const settle = (): void => {
        clearTimeout(timer)
        this.#waiters.delete(waiter)
      }
      const waiter: Waiter = {
        pattern,
        resolve: (line) => {
          settle()
          resolve(line)
        },
        reject: (error) => {
          settle()
          reject(error)
        },
      }
      this.#waiters.add(waiter)
      if (this.#endReason !== undefined) fail(this.#endReason)
    })
  }

  /** Says that no more lines will come; whoever still waits fails with `reason`. */
  end(reason: string): void {
    this.#endReason = reason
    for (const waiter of this.#waiters) {
      waiter.reject(
        new Error(`no line matches ${String(waiter.pattern)}: ${reason}; last lines:\n${this.tail()}`),
      )
    }
  }

  /** Takes lines again, after a restart. */
  reopen(): void {
    this.#endReason = undefined
  }

  #add(line: string): void {
    this.#lines.push(line)
    for (const waiter of this.#waiters) {
      if (waiter.pattern.test(line)) waiter.resolve(line)
    }
  }
}
