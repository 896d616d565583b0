/** Draws a sequence on the plot with a mouse, a pen or a finger. Each step that the stroke passes becomes a value.
 *
 * Keyboard users enter sequences with the sliders or by pasting numbers.
 */

/** A stroke with fewer values counts as a slip. */
const FEWEST = 4;

/**
 * Listen for strokes on `plot`. A mouse or a pen can always draw. A finger also scrolls, so it draws only if
 * `allowed(pointerType)` is true. Each stroke calls `drawn(values)`, or `slipped()` if it is too short.
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
    event.preventDefault(); // prevents text selection and a mouse event
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
    const passed = values.filter(Number.isFinite); // the steps before the stroke are holes
    if (taken && passed.length >= FEWEST) return drawn(passed);
    plot.show(before);
    if (taken) slipped();
  };
  surface.addEventListener("pointerup", end(true));
  surface.addEventListener("pointercancel", end(false));
}
