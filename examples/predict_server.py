"""A classifier behind an address, for `frenemy audit --model http://127.0.0.1:8000/predict --data digits`.

It takes `{"inputs": [[...], ...]}` and answers `{"probabilities": [[...], ...]}`; with --labels, `{"labels": [...]}`.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

digits = load_digits()
model = LogisticRegression(max_iter=500).fit(digits.data[:1437] / 16, digits.target[:1437])


class Handler(BaseHTTPRequestHandler):
    """Answer one batch of rows a request."""

    def do_POST(self) -> None:
        """Read the rows, and send what the model says of each."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        rows = np.asarray(asked["inputs"], dtype=np.float32)
        rows = rows.reshape(len(rows), -1)
        labels = "--labels" in sys.argv
        told = {"labels": model.predict(rows)} if labels else {"probabilities": model.predict_proba(rows)}
        body = json.dumps({kind: answers.tolist() for kind, answers in told.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


if __name__ == "__main__":
    if "--serve" in sys.argv:
        print("http://127.0.0.1:8000/predict (Ctrl-C ends it)")
        ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
    print("to serve a classifier of digits: python examples/predict_server.py --serve [--labels]")
