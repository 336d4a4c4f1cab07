import type { Logger } from '../logger.ts'

const levelNames = ['DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL', 'NONE'] as const
const NONE_LEVEL = levelNames.length - 1

/** What a case prints: its own lines, and the log lines of the nodes from a level on. At `NONE` it is silent. */
export class CaseOutput {
  level = 0
  #text = ''
  readonly logger: Logger = {
    debug: (text) => this.#log(0, text),
    info: (text) => this.#log(1, text),
    warn: (text) => this.#log(2, text),
    error: (text) => this.#log(3, text),
  }

  get isQuiet(): boolean {
    return this.level === NONE_LEVEL
  }

  write(text: string): void {
    if (!this.isQuiet) this.#text += text
  }

  /** What was written since the last call. */
  take(): string {
    const text = this.#text
    this.#text = ''
    return text
  }

  /** Runs `action`, indenting all it writes. */
  indented(action: () => void): void {
    const before = this.take()
    action()
    const lines = this.take().split('\n')
    if (lines.at(-1) === '') lines.pop()
    this.#text = before + lines.map((line) => `  ${line}\n`).join('')
  }

  /** @param name in any case */
  setLevel(name: string): void {
    const level = levelNames.findIndex((known) => known === name.toUpperCase())
    if (level < 0) throw new CaseError(`log levels must be either of [${levelNames.join(' ')}]`)
    this.level = level
  }

  #log(level: number, text: string): void {
    if (level >= this.level) this.#text += `${levelNames[level]} ${text}\n`
  }
}

/** What a command answers with instead of doing what it was told. */
export class CaseError extends Error {
  override readonly name = 'CaseError'
}
