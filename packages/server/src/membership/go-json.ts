/**
 * JSON text as Go's encoder writes it, for the documents whose bytes members compare or store
 * (member attributes, ConfChange contexts): besides the mandatory escapes, `<`, `>`, `&`, U+2028 and
 * U+2029 are escaped and lone surrogates become U+FFFD.
 */
export function goJsonString(text: string): string {
  let out = '"'
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    if (code >= 0xd800 && code <= 0xdfff) out += '\ufffd'
    else if (character === '"' || character === '\\') out += `\\${character}`
    else if (code === 0x0a) out += '\\n'
    else if (code === 0x0d) out += '\\r'
    else if (code === 0x09) out += '\\t'
    else if (code < 0x20 || code === 0x3c || code === 0x3e || code === 0x26 || code === 0x2028 || code === 0x2029) {
      out += `\\u${code.toString(16).padStart(4, '0')}`
    } else out += character
  }
  return `${out}"`
}

/** A list of strings, or `null` where Go would write its nil slice. */
export function goJsonStrings(list: readonly string[] | undefined): string {
  return list === undefined ? 'null' : `[${list.map(goJsonString).join(',')}]`
}

/**
 * Parses JSON in which integer literals may exceed 2^53 (member ids): those become `bigint`, never a rounded number.
 * @throws SyntaxError when `text` is not JSON
 */
export function parseExactJson(text: string): unknown {
  // A long integer outside of strings is rewritten to a tagged string, which no key or value of ours can look like.
  const tagged = text.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/gs, (token) =>
    token.startsWith('"') ? token : `"\u0000${token}"`,
  )
  return JSON.parse(tagged, (_key, value: unknown) =>
    typeof value === 'string' && value.startsWith('\u0000') ? BigInt(value.slice(1)) : value,
  )
}
