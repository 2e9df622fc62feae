"use strict";
// Making elements of the page.

const byId = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** 0, 1, … count − 1. */
const range = (count) => Array.from({ length: count }, (_, place) => place);

/** Height and width, which are the same if only one number is given. */
const pairOf = (sides) => [sides, sides].flat().slice(0, 2);

const subscript = (number) => String(number).replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);

/** A paragraph of a class; texts and elements, parted by spaces. */
function paragraph(className, ...parts) {
  return make("p", { className }, ...parts.flatMap((part) => [part, " "]));
}

/** A button that shows whether it is pressed. */
function choice(id, textContent, pressed, onclick) {
  return make("button", { id, textContent, ariaPressed: pressed, onclick });
}

/** Lets the browser draw and listen. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 0));

const percent = (share) => `${(100 * share).toFixed(share > 0.1 || share === 0 ? 0 : 1)} %`;
