import { networkInterfaces } from 'node:os'
import { ConfigError } from './errors.ts'

/** Reads a whole file as text; throws as `fs.readFileSync` does. */
export type ReadFile = (path: string) => string

/**
 * Finds the address at which other machines most likely reach this one: that of the interface of the default route.
 *
 * @throws ConfigError when there is none, or when the system does not tell
 */
export function detectDefaultHost(readFile: ReadFile): string {
  if (process.platform !== 'linux') {
    throw new ConfigError(`default host not supported on ${process.platform}_${process.arch}`)
  }
  const name = defaultInterfaceV4(readTable(readFile, '/proc/net/route'))
  const name6 = name ?? defaultInterfaceV6(readTable(readFile, '/proc/net/ipv6_route'))
  if (name6 === undefined) throw new ConfigError('could not find default route')
  const family = name === undefined ? 'IPv6' : 'IPv4'
  const found = networkInterfaces()[name6]?.find((address) => address.family === family)
  if (found === undefined) throw new ConfigError(`could not find an address of interface ${name6}`)
  return found.address
}

function readTable(readFile: ReadFile, path: string): readonly (readonly string[])[] {
  let text: string
  try {
    text = readFile(path)
  } catch {
    return [] // a kernel without this protocol has no such table
  }
  return text.split('\n').map((line) => line.trim().split(/\s+/))
}

/** Columns: interface, destination, gateway, flags, reference count, use, metric, mask; numbers in hexadecimal. */
function defaultInterfaceV4(table: readonly (readonly string[])[]): string | undefined {
  return table.find((row) => row[1] === '00000000' && row[7] === '00000000')?.[0]
}

/** Columns: destination, its length, source, its length, gateway, metric, reference count, use, flags, interface. */
function defaultInterfaceV6(table: readonly (readonly string[])[]): string | undefined {
  return table.find((row) => /^0{32}$/.test(row[0] ?? '') && row[1] === '00' && row[9] !== 'lo')?.[9]
}
