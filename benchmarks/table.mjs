const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

function time(us) {
  return us >= 10_000
    ? `${(us / 1000).toFixed(0)} ms`
    : us >= 1000
      ? `${(us / 1000).toFixed(1)} ms`
      : `${us.toFixed(0)} µs`
}

function mebibytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`
}

function pair(theirs, ours, format) {
  return theirs === undefined ? format(ours) : `${format(theirs)} / ${format(ours)}`
}

function bigRows({ etcd, 'etcd-ts': ours }) {
  const rows = [
    ['filling it', 'fillSeconds', (value) => `${value.toFixed(1)} s`],
    ['start to first healthy answer', 'startSeconds', (value) => `${value.toFixed(2)} s`],
    ['resident after filling', 'residentFilled', mebibytes],
    ['resident after a restart', 'residentStarted', mebibytes],
    ['resident after reads', 'residentAfterReads', mebibytes],
    ['counting all keys', 'countMs', (value) => `${value.toFixed(1)} ms`],
    ['Range of 1,000 keys', 'pageMs', (value) => `${value.toFixed(2)} ms`],
  ]
  return rows.map(([title, field, format]) =>
    ['', title, pair(etcd?.[field], ours[field], format), ''].join(' | ').trim(),
  )
}

/** The report as a Markdown table: etcd / etcd-ts in each cell. */
export function tableOf(report) {
  const lines = [
    `${report.date}; ${report.machine}; beside ${report.etcd ?? 'nothing (etcd is not installed)'}. Each cell: etcd / etcd-ts.`,
    '',
    '| load | in flight | calls/s | ratio | mean | p99 | CPU per call | resident |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
  ]
  for (const { name, inFlight, results } of report.loads) {
    const ours = results['etcd-ts']
    const theirs = results.etcd
    const ratio = theirs === undefined ? '' : `**${(ours.rate / theirs.rate).toFixed(1)}x**`
    lines.push(
      `| ${name} | ${inFlight} | ${pair(theirs?.rate, ours.rate, (rate) => whole.format(rate))} | ${ratio} | ${pair(theirs?.meanUs, ours.meanUs, time)} | ${pair(theirs?.p99Us, ours.p99Us, time)} | ${pair(theirs?.cpuUsPerCall, ours.cpuUsPerCall, time)} | ${pair(theirs?.residentBytes, ours.residentBytes, mebibytes)} |`,
    )
  }
  if (report.withoutLeader !== undefined) {
    const { etcd, 'etcd-ts': ours } = report.withoutLeader
    const ms = (value) => `${value.toFixed(0)} ms`
    lines.push(
      '',
      `After SIGKILL of the leader of three members, until the next Put is acknowledged (${ours.kills} kills): median ${pair(etcd?.medianMs, ours.medianMs, ms)}, longest ${pair(etcd?.worstMs, ours.worstMs, ms)}.`,
    )
  }
  if (report.big !== undefined)
    lines.push(
      '',
      '| store of 1 M keys of 256 bytes | etcd / etcd-ts |',
      '| --- | ---: |',
      ...bigRows(report.big),
    )
  return lines.join('\n')
}
