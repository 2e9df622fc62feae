"use strict";
// Making elements of the page.

const byId = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** 0, 1, … count − 1. */
const range = (count) => Array.from({ length: count }, (_, place) => place);

/** A paragraph of a class; texts and elements, parted by spaces. */
function paragraph(className, ...parts) {
  return make("p", { className }, ...parts.flatMap((part) => [part, " "]));
}

/** A button that shows whether it is pressed. */
function choice(id, textContent, pressed, onclick) {
  return make("button", { id, textContent, ariaPressed: pressed, onclick });
}
