import type { Io } from './io.ts'

/** Input and output in memory, for tests. */
export class MemoryIo implements Io {
  readonly env: Record<string, string>
  stdout = ''
  stderr = ''
  #input: string

  constructor(env: Record<string, string> = {}, input = '') {
    this.env = env
    this.#input = input
  }

  out(chunk: string | Uint8Array): void {
    this.stdout += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('latin1')
  }

  err(text: string): void {
    this.stderr += text
  }

  readAll(): Promise<Uint8Array> {
    return Promise.resolve(Buffer.from(this.#input))
  }

  readLine(): Promise<string | undefined> {
    const end = this.#input.indexOf('\n')
    if (end < 0) return Promise.resolve(undefined)
    const line = this.#input.slice(0, end)
    this.#input = this.#input.slice(end + 1)
    return Promise.resolve(line)
  }

  readSecret(): Promise<string> {
    return Promise.resolve('')
  }
}
