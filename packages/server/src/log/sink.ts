/** Where lines of the log go. No method throws: a log that cannot be written must not stop the member. */
export interface Sink {
  /** @param line with its newline */
  write(line: string): void
  flush(): void
  close(): void
}

/** Writes every line to all of several sinks. */
export function fanOut(sinks: readonly Sink[]): Sink {
  const [only] = sinks
  if (only !== undefined && sinks.length === 1) return only
  return {
    write: (line) => sinks.forEach((sink) => sink.write(line)),
    flush: () => sinks.forEach((sink) => sink.flush()),
    close: () => sinks.forEach((sink) => sink.close()),
  }
}
