/** Drawing a sequence on the plot, with a mouse, a pen or a finger: each step that the stroke passes becomes a value.
 *
 * Keyboards do the same through the sliders and by pasting numbers.
 */

/** Values below which a stroke is taken for a slip. */
const FEWEST = 4;

/**
 * Listen on `plot`. A mouse or a pen draws at any time, a finger where `allowed(pointerType)`, since it also scrolls.
 * `drawn(values)` is told of each stroke, `slipped()` of one that is too short.
 */
export function drawing(plot, { allowed, drawn, slipped }) {
  const surface = plot.main.over;
  let stroke = null;

  const extend = (event) => {
    const { step, value } = plot.at(event);
    const last = stroke.last ?? { step, value };
    const [from, to] = step < last.step ? [step, last.step] : [last.step, step];
    for (let at = Math.max(Math.ceil(from), 0); at <= to; at++) {
      const part = step === last.step ? 1 : (at - last.step) / (step - last.step);
      stroke.values[at] = last.value + part * (value - last.value);
    }
    stroke.last = { step, value };
  };

  surface.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !allowed(event.pointerType)) return;
    event.preventDefault(); // no text is selected, and no mouse event follows
    plot.leave();
    surface.setPointerCapture(event.pointerId);
    stroke = { values: [], before: plot.run };
    extend(event);
  });

  surface.addEventListener("pointermove", (event) => {
    if (stroke === null) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length > 0 ? moves : [event]) extend(move);
    if (stroke.values.length > 0) plot.sketch(Array.from(stroke.values, (value) => value ?? null));
  });

  const end = (taken) => () => {
    if (stroke === null) return;
    const { values, before } = stroke;
    stroke = null;
    plot.frozen = false;
    const passed = values.filter(Number.isFinite); // from where it began: the steps before are holes
    if (taken && passed.length >= FEWEST) return drawn(passed);
    plot.show(before);
    if (taken) slipped();
  };
  surface.addEventListener("pointerup", end(true));
  surface.addEventListener("pointercancel", end(false));
}
