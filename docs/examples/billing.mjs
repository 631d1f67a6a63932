/** A handler as an application has it: what billing.test.mjs tests. */

/** Charges each order once; an order without a total is a mistake of its sender. */
export function billing(charge) {
  return async ({ value, key, signal }) => {
    if (typeof value.total !== 'number') throw new TypeError('an order needs a total');
    await charge(key, value.total, { signal });
  };
}
