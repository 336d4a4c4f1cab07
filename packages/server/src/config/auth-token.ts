import { ConfigError } from './errors.ts'
import { parseDuration } from './go-values.ts'

export type AuthToken =
  | { readonly kind: 'none' }
  | { readonly kind: 'simple' }
  | {
      readonly kind: 'jwt'
      /** Such as RS256; always one of the methods of JSON Web Algorithms that etcd knows. */
      readonly signMethod: string
      /** Files of PEM (or, for HS methods, of anything); empty when not given. */
      readonly publicKeyFile: string
      readonly privateKeyFile: string
      readonly ttlMs: number
    }

const SIGN_METHODS = /^(?:RS|PS|ES|HS)(?:256|384|512)$/
const JWT_TTL_MS = 5 * 60 * 1000

/**
 * Reads `--auth-token`: a kind and, after commas, its options. Options of `simple` are accepted and mean nothing.
 *
 * @throws ConfigError
 */
export function parseAuthToken(text: string): AuthToken {
  const invalid = new ConfigError('auth: invalid auth options')
  const [kind, ...entries] = text.split(',')
  const options = new Map<string, string>()
  for (const entry of entries) {
    const equals = entry.indexOf('=')
    const name = entry.slice(0, equals)
    if (equals < 0 || options.has(name)) throw invalid
    options.set(name, entry.slice(equals + 1))
  }
  if (kind === '') return { kind: 'none' }
  if (kind === 'simple') return { kind }
  const signMethod = options.get('sign-method') ?? ''
  if (kind !== 'jwt' || !SIGN_METHODS.test(signMethod)) throw invalid
  return {
    kind,
    signMethod,
    publicKeyFile: options.get('pub-key') ?? '',
    privateKeyFile: options.get('priv-key') ?? '',
    ttlMs: readTtl(options.get('ttl'), invalid),
  }
}

function readTtl(text: string | undefined, invalid: ConfigError): number {
  if (text === undefined) return JWT_TTL_MS
  try {
    return Number(parseDuration(text)) / 1e6
  } catch {
    throw invalid // etcd names no reason here
  }
}
