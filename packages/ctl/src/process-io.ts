import { textOf } from './byte-text.ts'
import type { Io } from './io.ts'

const NEWLINE = 10

/** The process's own environment and standard streams. */
export class ProcessIo implements Io {
  readonly env = process.env
  /** Input that has been read but not asked for yet. */
  #held: Uint8Array = new Uint8Array()

  constructor() {
    // Whoever reads our output has gone: nothing is left to do, and nobody to tell.
    process.stdout.on('error', () => process.exit(1))
  }

  out(chunk: string | Uint8Array): void {
    process.stdout.write(chunk)
  }

  err(text: string): void {
    process.stderr.write(text)
  }

  /** Resolves when all output has been handed over. */
  async flush(): Promise<void> {
    for (const stream of [process.stdout, process.stderr]) {
      if (stream.writableLength > 0) await new Promise((resolve) => stream.write('', resolve))
    }
  }

  async readAll(): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [this.#take(this.#held.length)]
    for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array)
    return Buffer.concat(chunks)
  }

  async readLine(): Promise<string | undefined> {
    for (;;) {
      const end = this.#held.indexOf(NEWLINE)
      if (end >= 0) return textOf(this.#take(end + 1).subarray(0, -1))
      const chunk = await nextChunk()
      if (chunk === undefined) return undefined
      this.#held = Buffer.concat([this.#held, chunk])
    }
  }

  async readSecret(prompt: string): Promise<string> {
    this.out(prompt)
    const { stdin } = process
    try {
      if (!stdin.isTTY) return (await this.readLine()) ?? ''
      stdin.setRawMode(true)
      return await readKeys()
    } finally {
      if (stdin.isTTY) stdin.setRawMode(false)
      this.out('\n')
    }
  }

  #take(length: number): Uint8Array {
    const taken = this.#held.subarray(0, length)
    this.#held = this.#held.subarray(length)
    return taken
  }
}

/** What standard input holds next; undefined at its end. */
async function nextChunk(): Promise<Uint8Array | undefined> {
  const { stdin } = process
  for (;;) {
    const chunk = stdin.read() as Uint8Array | null
    if (chunk !== null) return chunk
    if (stdin.readableEnded || stdin.destroyed) return undefined
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        for (const event of ['readable', 'end', 'error', 'close']) stdin.off(event, wake)
        resolve()
      }
      for (const event of ['readable', 'end', 'error', 'close']) stdin.on(event, wake)
    })
  }
}

/** A line typed on a raw terminal. */
async function readKeys(): Promise<string> {
  let typed = ''
  for (;;) {
    const chunk = await nextChunk()
    if (chunk === undefined) return typed
    for (const key of textOf(chunk)) {
      if (key === '\r' || key === '\n' || key === '\x04') return typed
      if (key === '\x03') process.kill(process.pid, 'SIGINT')
      else typed = key === '\x7f' || key === '\b' ? typed.slice(0, -1) : typed + key
    }
  }
}
