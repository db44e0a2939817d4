export * from './errors.ts';
export * from './find-on-path.ts';
export * from './heap.ts';
export * from './logging.ts';
export * from './make-folder.ts';
export * from './process.ts';
export * from './process-identity.ts';
export * from './work-loop.ts';
