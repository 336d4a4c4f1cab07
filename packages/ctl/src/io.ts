/** Where a command reads from and writes to; tests put their own in place. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
  out(chunk: string | Uint8Array): void
  err(text: string): void
  /** All of standard input. */
  readAll(): Promise<Uint8Array>
  /** The next line without its newline, or undefined when the input ends before one. */
  readLine(): Promise<string | undefined>
  /** Prints `prompt` and reads a line, without echo on a terminal. */
  readSecret(prompt: string): Promise<string>
}
