/** A value in a log line. */
export type NoteField = string | number | boolean | readonly string[]

/** A log line to be written once the log itself has been configured. */
export interface Note {
  readonly level: 'info' | 'warn' | 'error' | 'fatal'
  readonly message: string
  readonly fields: Readonly<Record<string, NoteField>>
}

export function note(level: Note['level'], message: string, fields: Note['fields'] = {}): Note {
  return { level, message, fields }
}

/** Stands in logs for what must not be shown. */
export const REDACTED = '<redacted>'
