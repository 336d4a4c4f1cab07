/** A JSON line as zap's console encoder has it: time, level, caller and message between tabs, then the fields. */
export function asConsole(line: string): string {
  const { level, ts, caller, msg, ...fields } = JSON.parse(line) as Record<string, unknown>
  const parts = [ts, level, caller, msg].map((part) => String(part))
  if (Object.keys(fields).length > 0) parts.push(JSON.stringify(fields))
  return `${parts.join('\t')}\n`
}
