const WIDTH = 900
const ROW = 34
const LEFT = 290
const TOP = 54

/** Bars of calls per second, one pair a load, as an SVG document. */
export function chartOf(report) {
  const rows = report.loads
  const height = TOP + rows.length * ROW + 20
  const most = Math.max(...rows.flatMap(({ results }) => Object.values(results).map(({ rate }) => rate)))
  const scale = (WIDTH - LEFT - 150) / most
  const bars = rows.flatMap(({ name, inFlight, results }, index) => {
    const y = TOP + index * ROW
    const bar = (server, offset, color) => {
      const result = results[server]
      if (result === undefined) return ''
      const width = Math.max(1, result.rate * scale)
      const ratio =
        server === 'etcd-ts' && results.etcd !== undefined
          ? `  (${(result.rate / results.etcd.rate).toFixed(1)}x)`
          : ''
      return `<rect x="${LEFT}" y="${y + offset}" width="${width.toFixed(1)}" height="12" fill="${color}"/><text x="${(LEFT + width + 6).toFixed(1)}" y="${y + offset + 10}">${Math.round(result.rate).toLocaleString('en-US')}${ratio}</text>`
    }
    return [
      `<text x="${LEFT - 8}" y="${y + 17}" text-anchor="end">${name}, ${inFlight} in flight</text>`,
      bar('etcd', 0, '#9aa5b1'),
      bar('etcd-ts', 13, '#2f6fde'),
    ]
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12" fill="#222">
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
<text x="16" y="22" font-size="15">Calls per second: etcd (grey) and etcd-ts (blue)</text>
<text x="16" y="40" fill="#666">${report.date}, ${report.machine}</text>
${bars.join('\n')}
</svg>
`
}
