import type { LogFields, Logger } from '../../log/index.ts'

/** A log that keeps its lines. */
export class LogLines implements Logger {
  readonly lines: { readonly message: string; readonly fields: LogFields }[] = []

  debug(): void {
    // Nobody asks for these.
  }

  info(message: string, fields: LogFields = {}): void {
    this.lines.push({ message, fields })
  }

  warn(message: string, fields: LogFields = {}): void {
    this.lines.push({ message, fields })
  }

  error(message: string, fields: LogFields = {}): void {
    this.lines.push({ message, fields })
  }

  panic(message: string, fields: LogFields = {}): void {
    this.lines.push({ message, fields })
  }

  fatal(message: string, fields: LogFields = {}): void {
    this.lines.push({ message, fields })
  }

  isEnabled(): boolean {
    return true
  }

  child(): Logger {
    return this
  }

  /** How often a message stands in the log. */
  count(message: string): number {
    return this.lines.filter((line) => line.message === message).length
  }
}
