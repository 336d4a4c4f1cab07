/** A value as one line for a failure's message: bigint as `5n`, long strings by their length, cut at 4,000 characters. */
export function show(value: unknown): string {
  const text = JSON.stringify(value, (_, member: unknown) => {
    if (typeof member === 'bigint') return `${member}n`
    return typeof member === 'string' && member.length > 500 ? `${member.length} characters` : member
  })
  return text.length > 4000 ? `${text.slice(0, 4000)}…` : text
}
