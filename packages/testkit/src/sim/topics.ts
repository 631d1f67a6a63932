/**
 * The topics that simulated members commit to.
 */

/** Topic that honest members commit to. */
export const TOPIC = 't';
/** Nobody subscribes to it: what is committed to it expires, the group's members notwithstanding. */
export const LEFT_TOPIC = 'left';
