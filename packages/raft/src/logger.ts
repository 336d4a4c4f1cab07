/**
 * Where raft's log lines go. A level that is left out costs nothing: its texts are not even built, so a
 * driver that filters by level hands over the methods of the levels that it keeps.
 */
export interface Logger {
  debug?(text: string): void
  info?(text: string): void
  warn?(text: string): void
  error?(text: string): void
}

/** Ids in log lines are hexadecimal, as in the names of members. */
export function hex(id: bigint): string {
  return id.toString(16)
}
