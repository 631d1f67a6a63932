/**
 * Every option of kafka-consumer-groups.sh and what does the same here: for the documentation, and for a test that each named
 * command and option exists.
 */

export interface KafkaOption {
  readonly kafka: string;
  /** Command lines without values: `muster groups list --state`. Empty where there is nothing to do. */
  readonly muster: readonly string[];
  readonly note?: string;
}

export const kafkaConsumerGroupsOptions: readonly KafkaOption[] = [
  {
    kafka: '--bootstrap-server <host:port>',
    muster: ['muster groups list --server'],
    note: 'also `NATS_URL`, or a NATS context; not needed for `nats://127.0.0.1:4222`',
  },
  {
    kafka: '--command-config <file>',
    muster: ['muster groups list --context', 'muster groups list --creds', 'muster groups list --nkey'],
    note: 'and the other options of [Connection](#connection)',
  },
  { kafka: '--list', muster: ['muster groups list'] },
  {
    kafka: '--list --state [stable,empty]',
    muster: ['muster groups list --state'],
    note: 'the state is always shown; values in any case, with commas or one by one',
  },
  {
    kafka: '--list --type [classic,consumer]',
    muster: ['muster groups list --type'],
    note: 'every group is `classic`',
  },
  { kafka: '--describe', muster: ['muster groups describe'], note: 'the group is an argument' },
  { kafka: '--describe --offsets', muster: ['muster groups describe --offsets'], note: 'shown anyway' },
  { kafka: '--describe --members', muster: ['muster groups describe --members', 'muster groups members'] },
  {
    kafka: '--describe --members --verbose',
    muster: ['muster groups describe --members --verbose', 'muster groups members --verbose'],
    note: 'with the assignments',
  },
  { kafka: '--describe --state', muster: ['muster groups describe --state', 'muster groups state'] },
  {
    kafka: '--describe --verbose',
    muster: ['muster groups describe --verbose', 'muster groups state --verbose'],
    note: 'more columns',
  },
  {
    kafka: '--group <name>',
    muster: ['muster groups describe', 'muster groups delete', 'muster groups reset-offsets'],
    note: 'an argument; several may be named',
  },
  {
    kafka: '--all-groups',
    muster: [
      'muster groups describe --all-groups',
      'muster groups delete --all-groups',
      'muster groups reset-offsets --all-groups',
    ],
  },
  {
    kafka: '--topic t, --topic t:0,1',
    muster: ['muster groups reset-offsets --topic', 'muster groups delete-offsets --topic'],
    note: 'also ranges, `t:0-3`; may be repeated',
  },
  { kafka: '--all-topics', muster: ['muster groups reset-offsets --all-topics'] },
  { kafka: '--delete', muster: ['muster groups delete'] },
  { kafka: '--delete-offsets', muster: ['muster groups delete-offsets'] },
  { kafka: '--reset-offsets', muster: ['muster groups reset-offsets'] },
  { kafka: '--to-earliest', muster: ['muster groups reset-offsets --to-earliest'] },
  { kafka: '--to-latest', muster: ['muster groups reset-offsets --to-latest'] },
  { kafka: '--to-current', muster: ['muster groups reset-offsets --to-current'] },
  { kafka: '--to-offset <n>', muster: ['muster groups reset-offsets --to-offset'] },
  {
    kafka: '--to-datetime <YYYY-MM-DDTHH:mm:SS.sss>',
    muster: ['muster groups reset-offsets --to-datetime'],
    note: 'the same form; without a zone it is UTC',
  },
  {
    kafka: '--by-duration <PnDTnHnMnS>',
    muster: ['muster groups reset-offsets --by-duration'],
    note: 'the same form, or `2h30m`',
  },
  {
    kafka: '--shift-by <n>',
    muster: ['muster groups reset-offsets --shift-by'],
    note: 'counts messages of the partition',
  },
  {
    kafka: '--from-file <csv>',
    muster: ['muster groups reset-offsets --from-file'],
    note: "Kafka's CSV, with or without the group in front; also JSON",
  },
  { kafka: '--export', muster: ['muster groups reset-offsets --export'], note: 'the same CSV' },
  { kafka: '--dry-run', muster: ['muster groups reset-offsets --dry-run'], note: 'the default, too' },
  {
    kafka: '--execute',
    muster: ['muster groups reset-offsets --execute'],
    note: 'on a terminal you are asked, unless `--force`',
  },
  {
    kafka: '--timeout <ms>',
    muster: ['muster groups describe --timeout'],
    note: 'with a unit: `5s`, `500ms`',
  },
  {
    kafka: '--validate-regex <regex>',
    muster: ['muster topics list --match', 'muster groups list --match'],
    note: 'says what is wrong with it (exit code 2), and what it matches; consumers subscribe by name',
  },
  { kafka: '--help, --version', muster: ['muster groups --help', 'muster --version'] },
];
