// A tour from a pixel to the loss and back, and the words that are explained where they stand.

/** A text with its [words] as buttons that explain them. */
function explained(text) {
  return text.split(/\[|\]/).map((part, place) => {
    if (place % 2 === 0) return part;
    const onclick = () =>
      byId("word").replaceChildren(make("b", {}, part), ` ${GLOSSARY[part.toLowerCase()]}`);
    const button = make("button", { className: "word", textContent: part, onclick });
    button.setAttribute("popovertarget", "word");
    return button;
  });
}

const tour = { at: 0, timer: null };

function startTour() {
  byId("tour-open").onclick = () => openTour(0);
  byId("tour-close").onclick = closeTour;
  byId("tour-back").onclick = () => openTour(tour.at - 1);
  byId("tour-next").onclick = () => openTour(tour.at + 1);
  byId("tour-play").onclick = () => (tour.timer ? stopPlaying() : play());
}

function openTour(at) {
  const begun = !byId("tour").hidden;
  if (!STOPS[at]) return closeTour();
  const { line, words, question, answers } = STOPS[(tour.at = at)];
  byId("tour").hidden = false;
  byId("tour-place").textContent = `${at + 1} of ${STOPS.length}`;
  byId("tour-words").textContent = words;
  byId("tour-question").textContent = question;
  byId("tour-then").textContent = "";
  byId("tour-back").disabled = at === 0;
  const offered = typeof answers === "function" ? answers() : answers;
  byId("tour-answers").replaceChildren(...offered.map((text, place) =>
    choice(`answer-${place}`, text, false, () => answer(place))));
  update({ line: (net.arrays.get(line) ?? net.arrays.get("blocks.0.sum1")).line });
  if (begun) byId("line-formula").scrollIntoView();
}

/** Say whether a guess is right, and what the numbers are; without a guess, only the numbers. */
function answer(guess = null) {
  const right = STOPS[tour.at].right(), said = guess === right ? "Yes. " : "Not quite. ";
  byId("tour-then").textContent = (guess === null ? "" : said) + STOPS[tour.at].then();
  [...byId("tour-answers").children].forEach((button, place) => {
    button.className = place === right ? "right" : place === guess ? "wrong" : "";
  });
}

function play() {
  byId("tour-play").textContent = "Pause";
  tour.timer = setInterval(() => {
    if (byId("tour-then").textContent === "") answer();
    else if (tour.at + 1 < STOPS.length) openTour(tour.at + 1);
    else stopPlaying();
  }, 5000);
}

function stopPlaying() {
  clearInterval(tour.timer);
  tour.timer = null;
  byId("tour-play").textContent = "Play";
}

function closeTour() {
  stopPlaying();
  byId("tour").hidden = true;
  byId("tour-open").focus();
}
