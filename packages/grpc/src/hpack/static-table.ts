import { HeaderField } from './header-field.ts'

/** The static table (RFC 7541, appendix A), one `name value` a line, in the order of its indexes from 1. */
const rows = `:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`

/** Entry `i` of the static table is `staticTable[i - 1]`. */
export const staticTable: readonly HeaderField[] = rows.split('\n').map((row) => {
  const blank = row.indexOf(' ')
  return blank < 0 ? new HeaderField(row, '') : new HeaderField(row.slice(0, blank), row.slice(blank + 1))
})

export const STATIC_COUNT = 61

const indexes = new Map<string, number>()
const nameIndexes = new Map<string, number>()
for (const [i, field] of staticTable.entries()) {
  indexes.set(`${field.name}\n${field.value}`, i + 1)
  if (!nameIndexes.has(field.name)) nameIndexes.set(field.name, i + 1)
}

/** Index of the entry with this name and value, or 0. */
export function staticIndex(name: string, value: string): number {
  return indexes.get(`${name}\n${value}`) ?? 0
}

/** Lowest index of an entry with this name, or 0. */
export function staticNameIndex(name: string): number {
  return nameIndexes.get(name) ?? 0
}
