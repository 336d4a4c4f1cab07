import { type DiscoveryConfig, type ServerConfig, parseServerArguments } from '../../config/index.ts'

/** The configuration that a command line makes. @param line blanks stand between its words */
export function configOf(line: string): ServerConfig {
  const words = line.split(' ').filter((word) => word !== '')
  const parsed = parseServerArguments(words, {}, () => {
    throw new Error('no files here')
  })
  if (parsed.kind !== 'run') throw new Error(parsed.stderr + JSON.stringify(parsed.notes.at(-1)))
  return parsed.config
}

/** No discovery. */
export const discoveryConfig: DiscoveryConfig = configOf('').discovery
