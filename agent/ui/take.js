// Empties the box as soon as a message is on its way: what is typed meanwhile is the next one.
(session, text) => {
  const field = document.querySelector('#message textarea');
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(field, '');
  field.dispatchEvent(new Event('input', {bubbles: true}));
  return [session, text];
}
