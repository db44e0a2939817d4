import type { FC } from 'hono/jsx';
import { countOf, formatBytes } from '../format.ts';
import type { BuilderRow } from '../read/machines.ts';
import { builderFace, neverSeen, takesBuilds } from '../words.ts';
import { type Frame, Layout, renderPage } from './layout.tsx';
import { Ago, Banner, Copy, Empty, Mark, Word } from './parts.tsx';
import { within } from './waiting.ts';

export interface BuildersPage {
  readonly frame: Frame;
  readonly builders: readonly BuilderRow[];
  /** Address of this server, for the command that an agent is started with. */
  readonly server: string;
  readonly now: Date;
}

/** The machines that build, how they are, and the commands to change that. */
export function buildersPage({ frame, builders, server, now }: BuildersPage): Promise<string> {
  const open = builders.filter((builder) => takesBuilds(builder, now));
  const slots = open.reduce((sum, builder) => sum + builder.slots, 0);
  const running = builders.reduce((sum, builder) => sum + builder.running, 0);
  return renderPage(
    <Layout frame={{ ...frame, here: 'builders' }} title="Builders">
      <div class="heading">
        <h1>Builders</h1>
        <p class="aside number" id="totals" data-live>
          {running} of {countOf(slots, 'slot')} in use
        </p>
      </div>
      <div id="builders" data-live>
        {builders.length > 0 && open.length === 0 ? (
          <Banner tone="attention" title="No builder takes builds at the moment">
            What is pushed is evaluated, and then waits. Below stands what each of them needs.
          </Banner>
        ) : null}
        {builders.length === 0 ? (
          <Empty title="No builder yet">
            <p>
              Where Nix is installed, <code>ringmaster serve</code> registers this machine by itself.{' '}
              <Copy text="ringmaster doctor" /> says what is missing. Other machines are added as below.
            </p>
          </Empty>
        ) : (
          <ul class="rows">
            {builders.map((builder) => (
              <BuilderLine builder={builder} server={server} now={now} />
            ))}
          </ul>
        )}
      </div>
      <Commands />
    </Layout>,
  );
}

const BuilderLine: FC<{ builder: BuilderRow; server: string; now: Date }> = ({ builder, server, now }) => {
  const face = builderFace(builder, now);
  const rests = builder.disabled_until !== null && builder.disabled_until > now;
  return (
    <li id={`builder-${builder.id}`} class="row builder-line">
      <Mark face={face} large />
      <div class="main">
        <p>
          <span class="name">{builder.name}</span> <Word face={face} />
        </p>
        <p class="sub">
          <span title={builder.uri ?? undefined}>{builder.kind}</span>
          {builder.systems.map((system) => (
            <span class="tag">{system}</span>
          ))}
          {builder.features
            .filter((feature) => !builder.mandatory_features.includes(feature))
            .map((feature) => (
              <span class="tag soft">{feature}</span>
            ))}
          {builder.mandatory_features.map((feature) => (
            <span class="tag soft" title="It takes only builds that require this">
              only {feature}
            </span>
          ))}
        </p>
        <Figures builder={builder} />
      </div>
      <Slots builder={builder} />
      <div class="when">
        {neverSeen(builder) ? null : (
          <>
            <span>seen</span> <Ago date={builder.seen_at} now={now} />
          </>
        )}
      </div>
      <Trouble builder={builder} until={rests ? builder.disabled_until : null} server={server} now={now} />
    </li>
  );
};

const Slots: FC<{ builder: BuilderRow }> = ({ builder }) => (
  <div class="result slots">
    <span class="number">
      {builder.running} of {countOf(builder.slots, 'slot')}
    </span>
    <svg class="counts-bar" aria-hidden="true">
      <rect
        class="bar-running"
        width={`${Math.min(100, (builder.running / Math.max(1, builder.slots)) * 100)}%`}
        height="100%"
      />
    </svg>
  </div>
);

/** What an agent tells of its machine, and what else is known of any. */
const Figures: FC<{ builder: BuilderRow }> = ({ builder }) => {
  const figures = figuresOf(builder);
  if (figures.length === 0) return null;
  return (
    <p class="figures number">
      {figures.map(([name, figure, title]) => (
        <span title={title}>
          {name} <b>{figure}</b>
        </span>
      ))}
    </p>
  );
};

type Figure = readonly [name: string, figure: string, title?: string];

const pressureTitle = 'Share of the last ten seconds in which something waited for it';

function figuresOf({ load, speed, version }: BuilderRow): readonly Figure[] {
  const figures: Figure[] = [];
  if (load?.load1 !== undefined) {
    const cores = load.cores === undefined ? '' : ` on ${countOf(load.cores, 'core')}`;
    figures.push(['load', `${load.load1.toFixed(1)}${cores}`]);
  }
  if (load?.memoryAvailableBytes !== undefined) {
    const whole = load.memoryTotalBytes === undefined ? '' : ` of ${formatBytes(load.memoryTotalBytes)}`;
    figures.push(['memory free', `${formatBytes(load.memoryAvailableBytes)}${whole}`]);
  }
  if (load?.storeFreeBytes !== undefined) figures.push(['store free', formatBytes(load.storeFreeBytes)]);
  const pressures = [
    ['CPU', load?.cpuPressure],
    ['memory', load?.memoryPressure],
    ['disk', load?.ioPressure],
  ] as const;
  for (const [name, share] of pressures) {
    if (share !== undefined) figures.push([`${name} pressure`, `${Math.round(share)} %`, pressureTitle]);
  }
  if (speed !== 1) figures.push(['speed', `× ${Number(speed.toFixed(2))}`, 'Compared with the others']);
  if (version !== null) figures.push(['version', version]);
  return figures;
}

/** What is wrong with a builder, what happens by itself, and the command that helps. */
const Trouble: FC<{ builder: BuilderRow; until: Date | null; server: string; now: Date }> = ({
  builder,
  until,
  server,
  now,
}) => {
  const command = remedyOf(builder, until, server);
  if (builder.last_error === null && command === undefined && builder.withheld === null) return null;
  const [first, ...more] = (builder.last_error ?? '').trim().split('\n');
  return (
    <div class={`trouble-of-machine${builder.last_error === null ? ' quiet-box' : ''}`}>
      {first ? (
        <p>
          <strong>{first}</strong>
        </p>
      ) : null}
      {more.map((line) => (line.trim() === '' ? null : <p>{line}</p>))}
      {builder.connected && builder.withheld !== null ? (
        <p>It gets no more for now: {builder.withheld}.</p>
      ) : null}
      {until !== null ? (
        <p>
          Failed {countOf(builder.consecutive_failures, 'time')} in a row; it is asked again{' '}
          {within(until, now)}.
        </p>
      ) : null}
      {command ? (
        <p class="remedy">
          {command.why} <Copy text={command.line} />
        </p>
      ) : null}
    </div>
  );
};

function remedyOf(builder: BuilderRow, until: Date | null, server: string) {
  const enable = `ringmaster builder enable ${builder.name}`;
  if (!builder.enabled) return { why: 'Nothing is given to it until', line: enable };
  if (builder.draining) return { why: 'It finishes what it has. To give it builds again', line: enable };
  if (neverSeen(builder)) {
    const line = `ringmaster agent --server ${server} --token-file ${builder.name}.token`;
    return { why: 'To be started on that machine:', line };
  }
  if (until !== null) return { why: 'To ask it now', line: enable };
  if (!builder.connected && builder.kind === 'agent') {
    return {
      why: 'Its agent is not running, or does not reach this server. There:',
      line: 'ringmaster agent',
    };
  }
  return undefined;
}

const commands = [
  ['Add a machine that dials in', 'ringmaster builder add mars --slots 8'],
  [
    'Add a machine over SSH',
    'ringmaster builder add venus --uri ssh-ng://nix@venus --systems aarch64-linux --slots 4',
  ],
  ['Let it finish, and give it nothing more', 'ringmaster builder drain mars'],
  ['Give it builds again', 'ringmaster builder enable mars'],
  ['All that is known of it', 'ringmaster builder show mars'],
] as const;

const Commands: FC = () => (
  <section class="commands">
    <h2>On the server’s command line</h2>
    <dl>
      {commands.map(([what, line]) => (
        <>
          <dt>{what}</dt>
          <dd>
            <Copy text={line} />
          </dd>
        </>
      ))}
    </dl>
  </section>
);
