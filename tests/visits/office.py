"""A person at LibreOffice: opens a workbook, types into cells, saves it. Typing goes through the program's
own input command, which refuses locked cells as it does for a person; checks of drop-downs belong to the
keyboard, so wrong values get in as they do by pasting.
"""

from __future__ import annotations

import html
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

MACRO = """
Sub FillIn(orders, report)
  Dim word(0) As New com.sun.star.beans.PropertyValue
  Dim filter(0) As New com.sun.star.beans.PropertyValue
  word(0).Name = "StringName"
  filter(0).Name = "FilterName"
  filter(0).Value = "Calc MS Excel 2007 XML"
  hand = createUnoService("com.sun.star.frame.DispatchHelper")
  told = createUnoService("com.sun.star.io.TextOutputStream")
  files = createUnoService("com.sun.star.ucb.SimpleFileAccess")
  told.setOutputStream(files.openFileWrite(ConvertToURL(report)))
  told.setEncoding("UTF-8")
  lines = createUnoService("com.sun.star.io.TextInputStream")
  lines.setInputStream(files.openFileRead(ConvertToURL(orders)))
  lines.setEncoding("UTF-8")
  book = StarDesktop.loadComponentFromURL(ConvertToURL(lines.readLine()), "_blank", 0, Array())
  target = lines.readLine()
  Do While Not lines.isEOF()
    part = Split(lines.readLine(), Chr(9))
    If UBound(part) = 3 Then
      sheet = book.Sheets.getByName(part(0))
      cell = sheet.getCellByPosition(CLng(part(1)), CLng(part(2)))
      If part(3) <> "?" Then
        book.CurrentController.select(cell)
        word(0).Value = part(3)
        hand.executeDispatch(book.CurrentController.Frame, ".uno:EnterString", "", 0, word())
      End If
      rule = cell.Validation
      source = ""
      If rule.Type = com.sun.star.sheet.ValidationType.LIST Then
        source = rule.getFormula1()
      End If
      stops = rule.ShowErrorMessage And rule.ErrorAlertStyle = com.sun.star.sheet.ValidationAlertStyle.STOP
      shown = Join(Split(cell.String, Chr(10)), " ")
      told.writeString(shown & Chr(9) & rule.Type & Chr(9) & stops & Chr(9) & source & Chr(10))
    End If
  Loop
  told.closeOutput()
  book.storeToURL(ConvertToURL(target), filter())
  book.close(True)
End Sub
"""
MODULE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<!DOCTYPE script:module PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "module.dtd">\n'
    '<script:module xmlns:script="http://openoffice.org/2000/script" script:name="Module1" '
    'script:language="StarBasic">{}</script:module>\n'
)


class Office:
    """LibreOffice with a profile of its own. `type_into` is the person."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._run("--terminate_after_init")  # the first start lays the profile out
        module = folder / "user" / "basic" / "Standard" / "Module1.xba"
        module.write_text(MODULE.format(html.escape(MACRO, quote=False)), encoding="utf-8")

    def _run(self, *arguments: str) -> None:
        environment = {**os.environ, "SAL_USE_VCLPLUGIN": "svp"}
        command = [
            "soffice",
            f"-env:UserInstallation=file://{self.folder}",
            "--headless",
            "--norestore",
            *arguments,
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=180, env=environment)

    def type_into(
        self, book: Path, cells: Sequence[tuple[str, int, int, str]], saved: Path
    ) -> list[list[str]]:
        """Type (sheet, column, row, text) into a workbook, counted from 0, and save it elsewhere. A text of
        `?` only looks.

        Returns for each cell: what stands in it then, the type of its validation (6: list, 3: date …),
        whether a wrong entry is stopped at the keyboard, and where the words of its drop-down stand.
        """
        orders, report = self.folder / "orders.txt", self.folder / "report.txt"
        lines = [str(book), str(saved), *("\t".join(map(str, cell)) for cell in cells)]
        orders.write_text("\n".join(lines) + "\n", encoding="utf-8")
        report.unlink(missing_ok=True)
        self._run(f'macro:///Standard.Module1.FillIn("{orders}","{report}")')
        return [line.split("\t") for line in report.read_text(encoding="utf-8").splitlines()]
