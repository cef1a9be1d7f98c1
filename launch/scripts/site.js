/* Search over index.js, the menu of narrow windows, and where in the contents one is.  Keys: / or s to search, arrows and Enter, Escape. */
'use strict';
(function () {
  var form = document.getElementById('Search'), input = form.querySelector('input'), box = document.getElementById('Results');
  var entries = [], chosen = -1;
  INDEX.forEach(function (page) {                           // [file, title, [[id, title, section, text, rank], ...]]
    page[2].forEach(function (e, i) {
      var next = page[2][i + 1];                            // of a heading what stands below it is shown
      var own = (e[1] + ' \n' + e[3]).toLowerCase();
      entries.push({ url: page[0] + '#' + e[0], page: page[1], title: e[1], section: e[2], shown: e[3] || (next ? next[3] : ''), rank: e[4], head: e[1].toLowerCase(), own: own,
                     all: own + ' \n' + (e[2] + ' ' + page[1]).toLowerCase() });
    });
  });

  function word(c) { return /[\p{L}\p{N}_]/u.test(c || ' '); }
  /* 0: not there, 1: inside a word, 2: begins one, 3: is one */
  function fit(text, q) {
    var best = 0;
    for (var at = text.indexOf(q); at >= 0 && best < 3; at = text.indexOf(q, at + 1)) {
      var begins = !word(q[0]) || !word(text[at - 1]), ends = !word(text[at + q.length]);
      best = Math.max(best, begins ? (ends ? 3 : 2) : 1);
    }
    return best;
  }
  /* Each word begins one of the entry, of its section or page, and one of them one of the entry's own; of four letters and more it may also lie inside one.
     What stands in a title counts more, headings before keys before names in tables before text; a key's own name comes first. */
  function score(e, words) {
    var sum = 0, own = 0;
    for (var i = 0; i < words.length; i++) {
      var q = words[i], least = q.length < 4 ? 2 : 1, in_head = fit(e.head, q), in_own = in_head || fit(e.own, q);
      if (in_own < least) { in_own = 0; if (fit(e.all, q) < 2) return 0; }
      if (in_own) own++;
      sum += in_head >= least ? 10 * in_head + 20 * q.length / (e.head.length + q.length) : 3 * in_own;
    }
    var key = e.rank === 1 && words.length === 1 && new RegExp('(^|\\.)' + words[0].replace(/[^\w]/g, '\\$&') + ' = ').test(e.head);
    return own && sum / words.length + [18, 12, 8, 0][e.rank] + (key ? 20 : 0);
  }

  function marked(node, text, words) {
    var low = text.toLowerCase(), at = 0;
    while (at < text.length) {
      var next = -1, size = 0;
      words.forEach(function (q) {
        var p = low.indexOf(q, at);
        if (p >= 0 && (next < 0 || p < next || (p === next && q.length > size))) { next = p; size = q.length; }
      });
      if (next < 0) break;
      node.append(text.slice(at, next));
      var m = document.createElement('mark');
      m.textContent = text.slice(next, next + size);
      node.append(m);
      at = next + size;
    }
    node.append(text.slice(at));
  }
  function excerpt(text, words) {
    var low = text.toLowerCase(), first = text.length;
    words.forEach(function (q) { var p = low.indexOf(q); if (p >= 0) first = Math.min(first, p); });
    if (first === text.length) first = 0;
    var from = first < 70 ? 0 : text.indexOf(' ', first - 60) + 1 || first, to = from + 190;
    if (to < text.length) to = Math.max(text.lastIndexOf(' ', to), from + 100);
    return (from ? '… ' : '') + text.slice(from, to).replace(/\s+/g, ' ') + (to < text.length ? ' …' : '');
  }

  function choose(i) {
    var links = box.querySelectorAll('a');
    if (!links.length) return;
    chosen = (i + links.length) % links.length;
    links.forEach(function (a, k) { a.setAttribute('aria-selected', k === chosen); });
    links[chosen].scrollIntoView({ block: 'nearest' });
    input.setAttribute('aria-activedescendant', links[chosen].id);
  }
  function close() { box.hidden = true; box.textContent = ''; chosen = -1; }
  function search() {
    var words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    close();
    if (!words.length) return;
    var found = [];
    entries.forEach(function (e, i) { var s = score(e, words); if (s) found.push([s, i, e]); });
    found.sort(function (a, b) { return b[0] - a[0] || a[1] - b[1]; });
    found.slice(0, 40).forEach(function (f, i) {
      var e = f[2], a = document.createElement('a'), b = document.createElement('b'), where = document.createElement('i');
      a.href = e.url; a.id = 'r' + i; a.setAttribute('role', 'option');
      marked(b, e.title || e.section || e.page, words);
      where.textContent = e.page + (e.title && e.section ? ' › ' + e.section : '');
      a.append(b, where);
      var p = document.createElement('p');
      marked(p, excerpt(e.shown, words), words);
      a.append(p);
      box.append(a);
    });
    if (!found.length) { var none = document.createElement('div'); none.className = 'none'; none.textContent = 'nothing found'; box.append(none); }
    box.hidden = false;
    box.scrollTop = 0;
    choose(0);
  }

  form.hidden = false;
  form.addEventListener('submit', function (e) { e.preventDefault(); });
  input.addEventListener('input', search);
  input.addEventListener('focus', function () { if (box.hidden) search(); });
  input.addEventListener('keydown', function (e) {
    if (e.key === 'ArrowDown') choose(chosen + 1);
    else if (e.key === 'ArrowUp') choose(chosen - 1);
    else if (e.key === 'Enter') { var a = box.querySelectorAll('a')[chosen]; if (a) { input.blur(); a.click(); } }
    else if (e.key === 'Escape') { close(); input.blur(); }
    else return;
    e.preventDefault();
  });
  box.addEventListener('click', function (e) { if (e.target.closest('a')) close(); });
  document.addEventListener('click', function (e) { if (!box.contains(e.target) && !form.contains(e.target)) close(); });
  document.addEventListener('keydown', function (e) {
    if ((e.key === '/' || e.key === 's') && !e.ctrlKey && !e.metaKey && !e.altKey && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      e.preventDefault();
      input.focus();
      input.select();
    }
  });

  /* the menu of narrow windows */
  var menu = document.getElementById('Menu'), nav = document.getElementById('Nav');
  function open(yes) { nav.classList.toggle('open', yes); menu.setAttribute('aria-expanded', yes); }
  menu.addEventListener('click', function () { open(!nav.classList.contains('open')); });
  nav.addEventListener('click', function (e) { if (e.target.closest('a')) open(false); });

  /* where one is */
  var links = Array.prototype.slice.call(nav.querySelectorAll('.contents a')), here = null;
  var heads = links.map(function (a) { return document.getElementById(decodeURIComponent(a.hash.slice(1))); });
  function spy() {
    var at = -1;
    heads.forEach(function (h, i) { if (h && h.getBoundingClientRect().top < 110) at = i; });
    if (links[at] === here) return;
    if (here) here.classList.remove('here');
    here = links[at] || null;
    if (!here) return;
    here.classList.add('here');
    var r = here.getBoundingClientRect(), n = nav.getBoundingClientRect();
    if (r.top < n.top + 20 || r.bottom > n.bottom - 20) nav.scrollTop += r.top - n.top - n.height / 3;
  }
  var waits = false;
  addEventListener('scroll', function () { if (!waits) { waits = true; requestAnimationFrame(function () { waits = false; spy(); }); } }, { passive: true });
  spy();
  var current = nav.querySelector('[aria-current]');
  if (current && !here) { var c = current.getBoundingClientRect(); if (c.bottom > innerHeight) nav.scrollTop += c.top - 120; }
})();
