import { type Logger, messageOf } from '../basics/index.ts';

/** Ends what was started, last started first, each once, whatever the others do. */
export class Shutdown {
  readonly #log: Logger;
  readonly #steps: { readonly name: string; readonly end: () => Promise<void> }[] = [];
  #running: Promise<void> | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** True from the moment the end began. */
  get draining(): boolean {
    return this.#running !== undefined;
  }

  add(name: string, end: () => Promise<void>): void {
    this.#steps.push({ name, end });
  }

  /** Resolves when everything has ended; a step that fails is logged and the next one follows. */
  run(): Promise<void> {
    this.#running ??= this.#end();
    return this.#running;
  }

  async #end(): Promise<void> {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step.end();
      } catch (error) {
        this.#log.error({ step: step.name, reason: messageOf(error) }, 'could not be ended properly');
      }
    }
  }
}
