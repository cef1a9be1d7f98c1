"""pagedrive.py CHROMIUM URL light|dark|phone PNG PROFILE: drives the page of `asvr serve` over Chromium's DevTools pipe; ends with 1 and words where
it is not as it should be."""
import base64, fcntl, json, os, re, signal, subprocess, sys, time

chromium, url, look, png, profile = sys.argv[1:]
width = 390 if look == "phone" else 1100
signal.alarm(120)                               # a browser that says nothing
to_r, to_w, from_r, from_w = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in os.pipe() + os.pipe())


def ends():
    os.dup2(to_r, 3)
    os.dup2(from_w, 4)


browser = subprocess.Popen([chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
                            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--user-data-dir=" + profile, "about:blank"],
                           preexec_fn=ends, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
os.close(to_r)
os.close(from_w)
number, rest, events = 0, b"", []


def call(method, session=None, **params):
    global number, rest
    number += 1
    message = {"id": number, "method": method, "params": params}
    if session:
        message["sessionId"] = session
    os.write(to_w, json.dumps(message).encode() + b"\0")
    while True:
        while b"\0" in rest:
            one, rest = rest.split(b"\0", 1)
            m = json.loads(one)
            if m.get("id") == number:
                if "error" in m:
                    sys.exit("%s: %s" % (method, m["error"]))
                return m["result"]
            events.append(m)
        more = os.read(from_r, 1 << 20)
        if not more:
            sys.exit("the browser has ended")
        rest += more


def wants(ok, what):
    if not ok:
        browser.kill()
        sys.exit(what)


try:
    target = call("Target.createTarget", url="about:blank")["targetId"]
    s = call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network"):
        call(domain + ".enable", s)
    call("Emulation.setDeviceMetricsOverride", s, width=width, height=800, deviceScaleFactor=1, mobile=look == "phone")
    call("Emulation.setEmulatedMedia", s, features=[{"name": "prefers-color-scheme", "value": "dark" if look == "dark" else "light"}])
    call("Page.navigate", s, url=url)

    def js(code):
        r = call("Runtime.evaluate", s, expression=code, awaitPromise=True, returnByValue=True)
        wants("exceptionDetails" not in r, "script: %s" % r.get("exceptionDetails"))
        return r["result"].get("value")

    def until(code, what):
        for _ in range(200):
            if js(code):
                return
            time.sleep(0.05)
        wants(False, "never: " + what)

    def answers(n):
        until("document.body&&Number(document.body.dataset.answers||0)>=%d" % n, "%d answers" % n)

    until("document.getElementById('state')&&document.getElementById('state').textContent.indexOf('ok')===0", "the server's state")
    wants(js("document.title") == "tiny - asvr", "the title is " + str(js("document.title")))
    # A picture is dropped, a question typed, Enter struck.
    js("""new Promise(function(done){var c=document.createElement('canvas');c.width=160;c.height=120;var x=c.getContext('2d');x.fillStyle='#c33';x.fillRect(0,0,160,120);
          x.fillStyle='#36c';x.beginPath();x.arc(80,60,40,0,7);x.fill();c.toBlob(function(b){var d=new DataTransfer();d.items.add(new File([b],'a.png',{type:'image/png'}));
          document.dispatchEvent(new DragEvent('drop',{dataTransfer:d,cancelable:true}));done()})})""")
    until("document.querySelectorAll('#held img').length===1", "the picture that was dropped")
    for text, n in (("How many things are there?", 1), ("And what colour are they?", 2)):
        js("document.getElementById('text').focus()")
        call("Input.insertText", s, text=text)
        call("Input.dispatchKeyEvent", s, type="rawKeyDown", key="Enter", code="Enter", windowsVirtualKeyCode=13)
        call("Input.dispatchKeyEvent", s, type="keyUp", key="Enter", code="Enter", windowsVirtualKeyCode=13)
        answers(n)
    said = js("Array.from(document.querySelectorAll('.assistant>div')).map(function(e){return e.textContent})")
    notes = js("Array.from(document.querySelectorAll('.assistant>small')).map(function(e){return e.textContent})")
    wants(len(said) == 2 and all(said) and all(re.search(r"\d+ tokens of \d+", n) for n in notes), "answers %s, %s" % (said, notes))
    wants(js("document.querySelectorAll('.user img').length") == 1 and js("document.querySelectorAll('#held img').length") == 0, "the picture is not in the talk")
    # What the server refuses is shown.
    js("document.getElementById('most').value=100000;document.getElementById('text').value='too much';document.getElementById('ask').requestSubmit()")
    answers(3)
    wants("max_completion_tokens" in (js("(document.querySelector('.bad')||{}).textContent") or ""), "a refusal is not shown")
    wants(js("document.documentElement.scrollWidth<=innerWidth"), "the page is wider than its window")
    wants(js("matchMedia('(prefers-color-scheme:dark)').matches") == (look == "dark"), "not " + look)
    open(png, "wb").write(base64.b64decode(call("Page.captureScreenshot", s, format="png")["data"]))
    complaints = [e["params"] for e in events if e.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled")]
    complaints += [e["params"]["entry"] for e in events if e.get("method") == "Log.entryAdded" and "status of 400" not in e["params"]["entry"]["text"]]
    fetched = {e["params"]["request"]["url"] for e in events if e.get("method") == "Network.requestWillBeSent"}
    wants(not complaints, "complaints: %s" % complaints)
    wants(all(f.startswith((url, "data:", "blob:", "about:")) for f in fetched), "fetched: %s" % fetched)
finally:
    browser.kill()
    browser.wait()
